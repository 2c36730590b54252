//! The tests by subject.

/// Declares a subject's tests: functions of this module with what has to hold.
macro_rules! cases {
    ($subject:literal: $($name:ident = $about:literal;)*) => {
        cases! { $subject, read_only = false: $($name = $about;)* }
    };
    ($subject:literal, read_only = $read_only:literal: $($name:ident = $about:literal;)*) => {
        pub(in crate::mount) const CASES: &[$crate::mount::Case] = &[
            $($crate::mount::Case {
                name: concat!($subject, "::", stringify!($name)),
                about: $about,
                run: $name,
                read_only: $read_only,
            },)*
        ];
    };
}

mod acl;
mod allocate;
mod attributes;
mod data;
mod errors;
mod kinds;
mod large;
mod links;
mod listing;
mod locks;
mod mapping;
mod mmap;
mod modes;
mod names;
mod open;
mod owners;
mod read_only;
mod rename;
mod seek;
mod sparse;
mod symlinks;
mod times;
mod truncate;
mod unlinked;
mod writers;
mod xattr;

use super::Case;

/// All subjects.
pub(super) const ALL: &[&[Case]] = &[
    acl::CASES,
    allocate::CASES,
    attributes::CASES,
    data::CASES,
    errors::CASES,
    kinds::CASES,
    large::CASES,
    links::CASES,
    listing::CASES,
    locks::CASES,
    mmap::CASES,
    modes::CASES,
    names::CASES,
    open::CASES,
    owners::CASES,
    read_only::CASES,
    rename::CASES,
    seek::CASES,
    sparse::CASES,
    symlinks::CASES,
    times::CASES,
    truncate::CASES,
    unlinked::CASES,
    writers::CASES,
    xattr::CASES,
];
