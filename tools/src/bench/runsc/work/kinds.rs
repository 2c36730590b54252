//! What containers do.

/// A kind of work: rows of the table that belong together, each of which may need those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Looking at a tree of files, and reading it.
    Tree,
    /// Unpacking an archive, and removing what was in it.
    Untar,
    /// Writing small files, and removing them.
    Written,
    /// A tree as npm makes it.
    Modules,
    /// A repository.
    Git,
    /// A database.
    Sqlite,
    /// A large file.
    Large,
}

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// What it is called in the table.
    pub(super) name: String,
    /// How many times the same is done.
    pub(super) operations: u32,
    /// How often it is measured in each round: what is short and changes nothing is measured several times.
    pub(super) turns: u32,
    /// What the container's shell does.
    pub(super) script: String,
    /// What it does afterwards, which is not measured.
    pub(super) afterwards: &'static str,
}

/// So often is measured what takes a fraction of a second.
const SHORT: u32 = 5;

/// How much is done.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    /// Numbers of files, for work that is about files.
    pub(crate) files: Vec<u32>,
    /// Transactions of the database.
    pub(super) transactions: u32,
    /// Questions to the database.
    pub(super) queries: u32,
    /// The large file.
    pub(super) mebibytes: u32,
}

impl Sizes {
    /// The real measurement.
    pub(crate) fn full(files: &[u32]) -> Self {
        Self { files: files.to_vec(), transactions: 1000, queries: 5000, mebibytes: 1024 }
    }

    /// A try.
    pub(crate) fn quick() -> Self {
        Self { files: vec![100], transactions: 20, queries: 100, mebibytes: 16 }
    }

    /// What is measured, in this order.
    pub(super) fn rows(&self, kinds: &[Kind]) -> Vec<Row> {
        kinds.iter().flat_map(|kind| self.rows_of(*kind)).collect()
    }

    fn rows_of(&self, kind: Kind) -> Vec<Row> {
        match kind {
            Kind::Tree => self.for_files(&[
                // Of the host's findutils: busybox asks for the attributes of each file in any case.
                ("find", 1, SHORT, "/usr/bin/find tree > /dev/null"),
                ("find -size", 1, SHORT, "find tree -size +100000k"),
                ("small files read", 1, 1, "find tree -type f | xargs cat > /dev/null"),
                ("two finds at once", 2, SHORT, "find tree -size +100000k & find tree -size +100000k; wait $!"),
            ]),
            Kind::Untar => self.for_files(&[
                ("untar", 1, 1, "mkdir out; tar x -f tree.tar -C out"),
                ("two untars at once", 2, 1, "mkdir a b; tar x -f tree.tar -C a & tar x -f tree.tar -C b; wait $!"),
                ("rm -r of a tree", 1, 1, "rm -r out"),
            ]),
            Kind::Written => self.for_files(&[
                ("small files written", 1, 1, "mkdir new; cd new; for i in $(seq FILES); do echo $i > $i; done"),
                ("rm -r of these", 1, 1, "rm -r new"),
            ]),
            Kind::Modules => self.for_files(&[
                ("npm tree copied", 1, 1, "cp -r modules copy"),
                ("npm tree, package.json read", 1, 1, "find copy -name package.json | xargs cat > /dev/null"),
            ]),
            Kind::Git => self.for_files(&[
                // The numbers of inodes are others here, so that git reads all files.
                ("git status, first", 1, 1, "git -C repository status --porcelain"),
                ("git status, again", 1, SHORT, "git -C repository status --porcelain"),
            ]),
            Kind::Sqlite => vec![
                Row::new("sqlite, transactions", self.transactions, "sqlite3 data < insert.sql > /dev/null"),
                Row::new("sqlite, queries", self.queries, "sqlite3 data < select.sql > /dev/null"),
            ],
            Kind::Large => {
                let write = format!("dd if=/dev/zero of=large bs=1M count={}", self.mebibytes);
                let read = Row::new("large read, MiB", self.mebibytes, "dd if=large of=/dev/null bs=1M");
                vec![Row::new("large write, MiB", self.mebibytes, &write), Row { afterwards: "rm large", ..read }]
            }
        }
    }

    /// The rows for each number of files, in a directory of that name.
    fn for_files(&self, rows: &[(&str, u32, u32, &str)]) -> Vec<Row> {
        let for_number = |files: &u32| {
            let (directory, files) = (files.to_string(), *files);
            let row = move |(name, times, turns, script): &(&str, u32, u32, &str)| {
                let script = script.replace("FILES", &directory);
                Row { turns: *turns, ..Row::new(name, times * files, &format!("cd {directory}; {script}")) }
            };
            rows.iter().map(row).collect::<Vec<_>>()
        };
        self.files.iter().flat_map(for_number).collect()
    }
}

impl Row {
    fn new(name: &str, operations: u32, script: &str) -> Self {
        Self {
            name: format!("{name}: {operations}"),
            operations,
            turns: 1,
            script: script.to_owned(),
            afterwards: "true",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn no_two_rows_have_the_same_name() {
        let rows = Sizes::full(&[3000, 30000]).rows(Kind::value_variants());
        let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rows.len());
        assert!(rows.iter().all(|row| row.operations > 0));
    }
}
