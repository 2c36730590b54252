//! Rules as data.

use std::collections::BTreeMap;

/// System calls, each with the arguments with which it is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyscallRules(BTreeMap<i64, Allowed>);

/// With which arguments a system call is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// With any.
    Always,
    /// If all conditions of one of these hold. None of them is empty.
    AnyOf(Vec<Vec<Condition>>),
}

/// A condition on one argument of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    pub(super) argument: u8,
    pub(super) test: Test,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// The lower half is this. The kernel takes no more of an `int`, and what is in the upper half means nothing.
    Int(u32),
    /// The lower half is not this.
    NotInt(u32),
    /// All of it is this.
    Long(u64),
    /// Of these bits, those are set and no others.
    Bits { mask: u32, set: u32 },
}

impl Condition {
    /// The argument of this index, an `int` or shorter for the kernel, is `value`.
    ///
    /// # Panics
    ///
    /// If there is no such argument, as system calls have six of them. So do the other functions.
    pub const fn int(argument: u8, value: i32) -> Self {
        Self::new(argument, Test::Int(value.cast_unsigned()))
    }

    /// The argument, an `int` or shorter for the kernel, is anything but `value`.
    pub const fn not_int(argument: u8, value: i32) -> Self {
        Self::new(argument, Test::NotInt(value.cast_unsigned()))
    }

    /// The argument, a `long` or a pointer for the kernel, is `value`.
    pub const fn long(argument: u8, value: u64) -> Self {
        Self::new(argument, Test::Long(value))
    }

    /// None of the bits of `mask` is set in the argument.
    pub const fn without(argument: u8, mask: i32) -> Self {
        Self::new(argument, Test::Bits { mask: mask.cast_unsigned(), set: 0 })
    }

    /// The lower half of the argument has no bits but those of `mask`.
    pub const fn only(argument: u8, mask: i32) -> Self {
        Self::without(argument, !mask)
    }

    /// Without the bits of `ignored`, the argument is `value`.
    pub const fn int_besides(argument: u8, ignored: i32, value: i32) -> Self {
        let mask = !ignored.cast_unsigned();
        Self::new(argument, Test::Bits { mask, set: value.cast_unsigned() & mask })
    }

    const fn new(argument: u8, test: Test) -> Self {
        assert!(argument < 6, "a system call has six arguments");
        Condition { argument, test }
    }
}

impl SyscallRules {
    /// Nothing is allowed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows a system call, whatever its arguments.
    #[must_use]
    pub fn allow(mut self, number: i64) -> Self {
        self.add(number, &Allowed::Always);
        self
    }

    /// Allows a system call if all `conditions` hold; with other calls of this function for the same number, if those
    /// of any of them do. No conditions are no restriction.
    #[must_use]
    pub fn allow_if(mut self, number: i64, conditions: impl IntoIterator<Item = Condition>) -> Self {
        let conditions: Vec<Condition> = conditions.into_iter().collect();
        let allowed = if conditions.is_empty() { Allowed::Always } else { Allowed::AnyOf(vec![conditions]) };
        self.add(number, &allowed);
        self
    }

    /// Whether there are arguments with which the system call is allowed.
    pub fn mentions(&self, number: i64) -> bool {
        self.0.contains_key(&number)
    }

    /// The numbers of the system calls that are allowed with some arguments, in ascending order.
    pub fn numbers(&self) -> impl Iterator<Item = i64> {
        self.0.keys().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &Allowed)> {
        self.0.iter().map(|(number, allowed)| (*number, allowed))
    }

    /// Allows more of a system call than before.
    pub(super) fn add(&mut self, number: i64, more: &Allowed) {
        let allowed = self.0.entry(number).or_insert_with(|| Allowed::AnyOf(Vec::new()));
        match (&mut *allowed, more) {
            (Allowed::Always, _) => {}
            (_, Allowed::Always) => *allowed = Allowed::Always,
            (Allowed::AnyOf(rules), Allowed::AnyOf(more)) => {
                for rule in more {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
    }

    /// The same with each system call restricted by what `restrict` makes of it; `None` forbids it.
    pub(super) fn restricted(&self, restrict: impl Fn(i64, &Allowed) -> Option<Allowed>) -> Self {
        SyscallRules(self.iter().filter_map(|(number, allowed)| Some((number, restrict(number, allowed)?))).collect())
    }
}

impl Allowed {
    /// The same, if `condition` holds besides.
    pub(super) fn and(&self, condition: Condition) -> Self {
        let rules = match self {
            Allowed::Always => vec![vec![condition]],
            Allowed::AnyOf(rules) => rules
                .iter()
                .map(|rule| {
                    let mut rule = rule.clone();
                    if !rule.contains(&condition) {
                        rule.push(condition);
                    }
                    rule
                })
                .collect(),
        };
        Allowed::AnyOf(rules)
    }
}
