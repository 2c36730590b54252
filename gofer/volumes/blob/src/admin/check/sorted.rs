//! A table by the numbers of files, which come in order when all records are read: smaller than one that hashes them.

/// Values by number.
pub(super) struct Sorted<T>(Vec<(u64, T)>);

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Sorted(Vec::new())
    }
}

impl<T: Default> Sorted<T> {
    /// The value of `number`, which is not less than any before.
    pub(super) fn entry(&mut self, number: u64) -> &mut T {
        debug_assert!(self.0.last().is_none_or(|(last, _)| *last <= number), "keys are read in order");
        if self.0.last().is_none_or(|(last, _)| *last != number) {
            self.0.push((number, T::default()));
        }
        let last = self.0.len() - 1;
        &mut self.0[last].1
    }
}

impl<T> Sorted<T> {
    pub(super) fn get(&self, number: u64) -> Option<&T> {
        self.0.binary_search_by_key(&number, |(number, _)| *number).ok().map(|at| &self.0[at].1)
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.get(number).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.0.iter().map(|(number, value)| (*number, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_come_in_order_are_found() {
        let mut table = Sorted::<u32>::default();
        for number in [1, 5, 5, 9] {
            *table.entry(number) += 1;
        }
        assert_eq!(table.iter().collect::<Vec<_>>(), [(1, &1), (5, &2), (9, &1)]);
        assert_eq!((table.len(), table.get(5), table.contains(6)), (3, Some(&2), false));
    }
}
