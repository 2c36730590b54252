//! What can go wrong before a volume is served. Afterwards there are only errnos, and lines in the log.

/// Why a volume cannot be opened or made. People see its text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The location names no volume.
    #[error("{0}")]
    Location(#[from] crate::LocationError),
    /// The store's client cannot be set up.
    #[error("cannot use {url}: {}", reason(source))]
    Store {
        /// The volume.
        url: String,
        /// What its client says.
        source: object_store::Error,
    },
    /// The directory of a `file:` volume.
    #[error("cannot use the directory {path}: {source}")]
    Directory {
        /// The directory.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// There is nothing.
    #[error("{0} has no volume; make one with gofer-volumes blob mkfs or ?create")]
    Missing(String),
    /// There is one already.
    #[error("{0} already has a volume")]
    Exists(String),
    /// There is something else.
    #[error("{url} is not empty and holds no volume (there is {found}); use another prefix")]
    Foreign {
        /// The place.
        url: String,
        /// One of the objects.
        found: String,
    },
    /// It would be among the objects of another volume.
    #[error("{url} is inside the volume at {outer}; use another prefix")]
    Inside {
        /// The place.
        url: String,
        /// The other volume's.
        outer: String,
    },
    /// The store would let two writers overwrite each other.
    #[error("the store of {0} ignores conditional writes (PUT with If-None-Match), without which a volume is not safe")]
    Unconditional(String),
    /// A newer program made it.
    #[error("{url} has format {format}; this program knows {known}{}", if format > known { ": use a newer one" } else { "" })]
    Format {
        /// The volume.
        url: String,
        /// Its format.
        format: u32,
        /// The format that is known.
        known: u32,
    },
    /// The superblock makes no sense.
    #[error("{url} is damaged: {what}")]
    Damaged {
        /// The volume.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// No moment of that name was kept.
    #[error("{url} has no snapshot \"{name}\"")]
    NoCheckpoint {
        /// The volume.
        url: String,
        /// The name.
        name: String,
    },
    /// A name that no snapshot can have.
    #[error("\"{0}\" is not a valid name for a snapshot; use up to 64 letters, digits, and - _ .")]
    SnapshotName(String),
    /// There is a snapshot of that name already.
    #[error("{url} already has a snapshot \"{name}\"")]
    SnapshotExists {
        /// The volume.
        url: String,
        /// The name.
        name: String,
    },
    /// Somebody has the volume open, and does not answer.
    #[error(
        "{0} was not closed, and the process that writes to it does not answer; if it is dead, use --take-over, which stops it \
         from writing if it is not"
    )]
    NoAnswer(String),
    /// The writer was asked, and did not.
    #[error("the process that writes to {0} could not do it; its log says why")]
    Refused(String),
    /// A clone must be where it can refer to its parent's objects.
    #[error("a clone of {parent} must be in the same bucket or beside its directory, which {url} is not")]
    NotBeside {
        /// The place.
        url: String,
        /// The parent.
        parent: String,
    },
    /// The database of the metadata.
    #[error("cannot open the metadata of {url}: {}", reason(source))]
    Metadata {
        /// The volume.
        url: String,
        /// What the database says.
        source: slatedb::Error,
    },
    /// The store does not answer.
    #[error("{0} does not answer; is the store up and reachable from here?")]
    Silent(String),
    /// The process may not have what is needed.
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
}

/// What a store says, in one line for people: some of them answer with a page.
pub(crate) fn reason(error: &impl std::fmt::Display) -> String {
    let text = without_passwords(&error.to_string());
    let between = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>")).map(|(inner, _)| inner.trim())
    };
    let Some(code) = between("Code") else {
        if text.contains("incorrectly configured region") {
            return "the bucket is in another region; set AWS_REGION".to_owned();
        }
        let line = text.lines().next().unwrap_or_default();
        return line.split(": <?xml").next().unwrap_or(line).to_owned();
    };
    let what = match code {
        "NoSuchBucket" => "there is no such bucket".to_owned(),
        "AccessDenied" | "AllAccessDisabled" => format!("the credentials do not allow to {}", request(&text)),
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken" | "AuthFailure" => {
            "the store does not accept the credentials".to_owned()
        }
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "IllegalLocationConstraintException" => {
            let region = between("Region").or_else(|| between("BucketRegion")).map(|region| format!(" ({region})"));
            format!("the bucket is in another region{}; set AWS_REGION", region.unwrap_or_default())
        }
        "RequestTimeTooSkewed" => "the clock of this machine differs too much from the store's; set it".to_owned(),
        _ => between("Message").and_then(|message| message.lines().next()).unwrap_or("it refuses").to_owned(),
    };
    format!("{what} ({code})")
}

/// A text without what stands before the hosts of its URLs: an endpoint may have a password.
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(part.len());
        let host = part[..end].rfind('@').map_or(0, |at| at + 1);
        plain.push_str("://");
        plain.push_str(&part[host..]);
    }
    plain
}

/// The request that an error is about.
fn request(text: &str) -> String {
    let words = text.split_once("performing ").map_or(text, |(_, rest)| rest);
    let mut words =
        words.split_whitespace().skip_while(|word| !["GET", "PUT", "HEAD", "DELETE", "POST"].contains(word));
    match (words.next(), words.next()) {
        (Some(method), Some(url)) => format!("{method} {}", url.split('?').next().unwrap_or(url)),
        _ => "do this".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_stores_are_one_line() {
        let answer = |code: &str, more: &str| {
            reason(&format!(
                "Generic S3 error: Error performing PUT http://host/b/x?y=z in 3ms - Server returned non-2xx status code: 400: \
                 <?xml version=\"1.0\"?>\n<Error><Code>{code}</Code>\n<Message>So it is.\nReally.</Message>{more}</Error>"
            ))
        };
        for (code, more, shown) in [
            ("NoSuchBucket", "", "there is no such bucket (NoSuchBucket)"),
            ("AccessDenied", "", "the credentials do not allow to PUT http://host/b/x (AccessDenied)"),
            ("SignatureDoesNotMatch", "", "the store does not accept the credentials (SignatureDoesNotMatch)"),
            (
                "AuthorizationHeaderMalformed",
                "<Region>eu-west-1</Region>",
                "the bucket is in another region (eu-west-1); set AWS_REGION (AuthorizationHeaderMalformed)",
            ),
            ("PermanentRedirect", "", "the bucket is in another region; set AWS_REGION (PermanentRedirect)"),
            (
                "RequestTimeTooSkewed",
                "",
                "the clock of this machine differs too much from the store's; set it (RequestTimeTooSkewed)",
            ),
            ("Other", "", "So it is. (Other)"),
        ] {
            assert_eq!(answer(code, more), shown);
        }
        assert_eq!(reason(&"GET http://me:secret@host:1/a@b: http://c/"), "GET http://host:1/a@b: http://c/");
        assert_eq!(reason(&"one\ntwo"), "one");
        assert_eq!(reason(&"Generic S3 error: 500: <?xml .."), "Generic S3 error: 500");
    }
}
