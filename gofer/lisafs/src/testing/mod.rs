//! A suite for who writes a [`Backend`](crate::backend::Backend): whether it does what its methods promise.
//!
//! It calls the backend as the server does, without a server, a mount or rights of any kind, and takes less than a
//! second. What a client makes of the backend is not tested here: that is what `fusebridge conform` is for.
//!
//! ```
//! # #[cfg(any())] // A backend is more than a page; gofer's chapter on extending it has one.
//! # mod example {
//! lisafs::testing::suite!(mine, Capabilities::all().without(Capability::HardLinks), || MyBackend::new());
//! # }
//! ```
//!
//! makes a module `mine` with a test for each [case](CASES). Each case gets a backend of its own from the last
//! argument, with an empty root unless it cannot be [written](Capability::Write). A backend that needs something as
//! long as it lives, such as a temporary directory, comes with it: `|| Subject::new(backend).with(directory)`.

mod capability;
mod cases;
mod scene;

pub use capability::{Capabilities, Capability};
pub use scene::Subject;

#[doc(inline)]
pub use crate::__suite as suite;

use std::panic::{AssertUnwindSafe, catch_unwind};

use scene::Scene;

/// One case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name, `AREA::CASE`.
    pub name: &'static str,
    needs: &'static [Capability],
    run: fn(&Scene),
}

/// All cases.
pub const CASES: &[Case] = crate::__cases!(list);

/// Runs the case `name` on a new backend, if that can do what the case is about.
///
/// # Panics
///
/// If the backend fails, or there is no such case.
pub fn check<S: Into<Subject>>(name: &str, can: Capabilities, make: impl FnOnce() -> S) {
    let case = CASES.iter().find(|case| case.name == name).expect("a case of this name");
    case.check(can, make);
}

/// The names of the cases that a backend fails, found one after the other.
pub fn failures<S: Into<Subject>>(
    can: Capabilities,
    mut make: impl FnMut() -> S,
) -> impl Iterator<Item = &'static str> {
    let fails = move |case: &&Case| catch_unwind(AssertUnwindSafe(|| case.check(can, &mut make))).is_err();
    CASES.iter().filter(fails).map(|case| case.name)
}

impl Case {
    fn check<S: Into<Subject>>(&self, can: Capabilities, make: impl FnOnce() -> S) {
        if let Some(missing) = self.needs.iter().find(|need| !can.has(**need)) {
            eprintln!("{} is left out: the backend cannot {missing:?}", self.name);
            return;
        }
        (self.run)(&Scene::new(make().into(), can));
    }
}

/// Makes a module with a test for each case, see [the module's documentation](crate::testing).
#[doc(hidden)]
#[macro_export]
macro_rules! __suite {
    ($name:ident, $can:expr, $make:expr $(,)?) => {
        mod $name {
            #[allow(unused_imports, reason = "what the arguments name is outside")]
            use super::*;
            #[allow(unused_imports, reason = "as above")]
            use $crate::testing::{Capabilities, Capability, Subject};

            $crate::__cases!(tests $can, $make);
        }
    };
}

/// The list of all cases, for the two things that are made of it.
#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    ($what:ident $($arguments:tt)*) => {
        $crate::__each_case! { $what [$($arguments)*]
            tree::every_file_is_what_its_directory_says []
            tree::every_file_is_read_alike_in_parts []
            tree::what_is_not_there_is_not_found []
            tree::listings_go_on_where_they_stopped []
            create::a_new_file_is_there [Write]
            create::a_name_is_taken_once [Write]
            create::directories_are_made_and_removed [Write]
            create::modes_are_ready_made [Write]
            create::owners_are_those_asked_for [Write, Owners]
            create::links_lead_where_they_should [Write, SymbolicLinks]
            create::fifos_and_sockets_are_files [Write, SpecialFiles]
            create::devices_have_numbers [Write, Devices]
            data::what_is_written_is_read [Write]
            data::large_data_is_whole [Write]
            data::holes_are_zeros [Write]
            data::the_end_of_a_file_is_its_size [Write]
            data::sizes_are_set [Write]
            data::opening_can_empty_a_file [Write]
            data::space_is_taken [Write]
            data::data_is_found [Write]
            data::space_is_reserved [Write, Allocate]
            attributes::they_are_as_they_are_now [Write]
            attributes::modes_are_set [Write]
            attributes::owners_are_set [Write, Owners]
            attributes::times_are_set_to_the_nanosecond [Write, Times]
            attributes::a_write_moves_the_times [Write, Times]
            attributes::reading_can_leave_the_times [Write, Times]
            attributes::what_cannot_be_set_is_named [Write]
            attributes::there_is_no_more_free_than_there_is [Statistics]
            identity::numbers_tell_files_apart [Write]
            identity::a_rename_keeps_the_file [Write]
            identity::hard_links_are_one_file [Write, HardLinks]
            listing::every_entry_turns_up_once [Write]
            listing::what_stays_turns_up_once_while_others_come_and_go [Write]
            listing::removing_what_was_listed_loses_nothing [Write]
            rename::it_moves_and_replaces [Write]
            rename::it_does_not_replace_what_it_must_not [Write, NoReplace]
            rename::it_exchanges [Write, Exchange]
            rename::what_cannot_be_is_refused [Write]
            remove::what_is_gone_is_gone [Write]
            remove::the_wrong_kind_is_refused [Write]
            remove::an_unlinked_file_lives_on [Write]
            remove::a_removed_directory_takes_nothing [Write]
            xattr::they_are_kept [Write, Xattrs]
            xattr::they_are_removed [Write, Xattrs]
            concurrency::one_of_many_creates_a_name [Write]
            concurrency::nobodys_file_is_lost [Write]
            concurrency::a_replaced_name_is_always_there [Write]
            concurrency::writers_of_one_file_do_not_disturb_each_other [Write]
            rename::it_leaves_whiteouts [Write, Whiteouts]
            lists::modes_and_lists_agree [Write, AccessLists]
            lists::new_files_inherit_them [Write, AccessLists]
        }
    };
}

/// Makes of the cases what is asked for.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_case {
    (list [] $($area:ident::$case:ident [$($need:ident),*])*) => {
        &[$(Case {
            name: concat!(stringify!($area), "::", stringify!($case)),
            needs: &[$(Capability::$need),*],
            run: cases::$area::$case,
        }),*]
    };
    (tests [$can:expr, $make:expr] $($area:ident::$case:ident [$($need:ident),*])*) => {
        $(#[test]
        fn $case() {
            $crate::testing::check(concat!(stringify!($area), "::", stringify!($case)), $can, $make);
        })*
    };
}
