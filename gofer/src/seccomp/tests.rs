//! What can be said of rules without a kernel.

use super::install::compile;
use super::policy::TABLE;
use super::rules::Allowed;
use super::*;
use crate::hostfs::UdsPolicy;

const EVERYTHING: Needs = Needs { lisafs: true, host_uds: UdsPolicy::All };

fn nothing() -> SyscallRules {
    SyscallRules::new()
}

fn allowed(rules: &SyscallRules, number: i64) -> Option<&Allowed> {
    rules.iter().find(|(found, _)| *found == number).map(|(_, allowed)| allowed)
}

#[test]
fn without_extensions_nothing_is_added() {
    for host_uds in [UdsPolicy::None, UdsPolicy::Open, UdsPolicy::Create, UdsPolicy::All] {
        for lisafs in [false, true] {
            let stock = stock(Needs { lisafs, host_uds });
            assert_eq!(merge(&stock, &[]), stock);
            assert_eq!(merge(&stock, &[nothing(), nothing()]), stock);
            assert_eq!(refused(&stock).count(), 0);
        }
    }
}

#[test]
fn each_configuration_adds_its_own() {
    let names = |needs: Needs| stock(needs).numbers().collect::<Vec<_>>();
    let least = names(Needs::default());
    for number in [libc::SYS_memfd_create, libc::SYS_mkdirat, libc::SYS_ftruncate, libc::SYS_socket, libc::SYS_clone] {
        assert!(!least.contains(&number), "{number}");
    }
    let table: [(Needs, &[i64], &[i64]); 4] = [
        (
            Needs { lisafs: true, ..Needs::default() },
            &[libc::SYS_memfd_create, libc::SYS_ftruncate, libc::SYS_mkdirat, libc::SYS_unlinkat],
            &[libc::SYS_socket],
        ),
        (
            Needs { host_uds: UdsPolicy::Open, ..Needs::default() },
            &[libc::SYS_socket, libc::SYS_connect, libc::SYS_setresuid],
            &[libc::SYS_bind, libc::SYS_accept4, libc::SYS_unlinkat],
        ),
        (
            Needs { host_uds: UdsPolicy::Create, ..Needs::default() },
            &[libc::SYS_socket, libc::SYS_bind, libc::SYS_accept4, libc::SYS_unlinkat],
            &[libc::SYS_connect, libc::SYS_setresuid, libc::SYS_mkdirat],
        ),
        (
            Needs { host_uds: UdsPolicy::All, ..Needs::default() },
            &[libc::SYS_socket, libc::SYS_bind, libc::SYS_connect],
            &[libc::SYS_mkdirat],
        ),
    ];
    for (needs, has, lacks) in table {
        let numbers = names(needs);
        assert!(least.iter().all(|number| numbers.contains(number)), "{needs:?}");
        assert!(has.iter().all(|number| numbers.contains(number)), "{needs:?}");
        assert!(!lacks.iter().any(|number| numbers.contains(number)), "{needs:?}");
    }
}

#[test]
fn every_line_of_the_policy_has_its_reason_and_stands_there_once() {
    for (index, entry) in TABLE.iter().enumerate() {
        assert!(!entry.why.is_empty(), "{}", entry.name);
        let same = |other: &&policy::Entry| {
            (other.number, other.when, other.alternatives) == (entry.number, entry.when, entry.alternatives)
        };
        assert_eq!(TABLE[index + 1..].iter().find(same).map(|other| other.name), None);
    }
}

#[test]
fn rules_of_one_call_are_alternatives() {
    let stock = nothing().allow_if(1, [Condition::int(0, 1)]).allow(2);
    let one = nothing().allow_if(1, [Condition::int(0, 2), Condition::int(1, 3)]).allow_if(2, [Condition::int(0, 0)]);
    let other = nothing().allow_if(1, [Condition::int(0, 1)]).allow(3);
    let merged = merge(&stock, &[one, other]);
    let expected = nothing()
        .allow_if(1, [Condition::int(0, 1)])
        .allow_if(1, [Condition::int(0, 2), Condition::int(1, 3)])
        .allow(2)
        .allow(3);
    assert_eq!(merged, expected);
}

#[test]
fn a_rule_without_conditions_wins_on_either_side() {
    let free = nothing().allow(1);
    let bound = nothing().allow_if(1, [Condition::int(0, 1)]);
    assert_eq!(merge(&free, std::slice::from_ref(&bound)), free);
    assert_eq!(merge(&bound, std::slice::from_ref(&free)), free);
    assert_eq!(merge(&nothing(), &[bound, free.clone()]), free);
    assert_eq!(nothing().allow_if(1, []), free);
}

#[test]
fn nobody_gets_executable_mappings() {
    let no_exec = Condition::without(2, libc::PROT_EXEC);
    for number in [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
        let wants = [
            nothing().allow(number),
            nothing().allow_if(number, [Condition::int(2, libc::PROT_READ | libc::PROT_EXEC)]),
            nothing().allow_if(number, [Condition::int(3, 7)]).allow_if(number, [Condition::long(0, 9)]),
            nothing().allow_if(number, [no_exec]),
        ];
        for extension in wants {
            for stock in [nothing(), stock(EVERYTHING), extension.clone()] {
                let merged = merge(&stock, std::slice::from_ref(&extension));
                let Some(Allowed::AnyOf(rules)) = allowed(&merged, number) else { panic!("{merged:?}") };
                assert!(!rules.is_empty() && rules.iter().all(|rule| rule.contains(&no_exec)), "{rules:?}");
            }
        }
    }
    let shm = merge(&nothing(), &[nothing().allow(libc::SYS_shmat)]);
    assert_eq!(shm, nothing().allow_if(libc::SYS_shmat, [Condition::without(2, libc::SHM_EXEC)]));
}

#[test]
fn some_calls_are_refused() {
    let wanted = nothing()
        .allow(libc::SYS_ptrace)
        .allow_if(libc::SYS_execve, [Condition::int(0, 1)])
        .allow(libc::SYS_seccomp)
        .allow(libc::SYS_personality)
        .allow(libc::SYS_process_vm_writev)
        .allow(libc::SYS_prctl)
        .allow(libc::SYS_sendto);
    let kept =
        nothing().allow(libc::SYS_sendto).allow_if(libc::SYS_prctl, [Condition::not_int(0, libc::PR_SET_SECCOMP)]);
    assert_eq!(merge(&nothing(), std::slice::from_ref(&wanted)), kept);
    // Wherever it comes from.
    assert_eq!(merge(&wanted, &[]), kept);
    let mut expected =
        [libc::SYS_ptrace, libc::SYS_execve, libc::SYS_seccomp, libc::SYS_personality, libc::SYS_process_vm_writev];
    expected.sort_unstable();
    assert_eq!(refused(&wanted).collect::<Vec<_>>(), expected);
    assert_eq!(merge(&merge(&nothing(), &[wanted]), &[]), kept);
}

#[test]
fn everything_at_once_fits_into_a_program() {
    /// What the kernel takes.
    const MOST: usize = 4096;
    let program = compile(&stock(EVERYTHING)).unwrap();
    assert!(program.len() < MOST / 2, "{} instructions", program.len());
}

#[test]
#[should_panic(expected = "six arguments")]
fn there_is_no_seventh_argument() {
    let _ = Condition::int(6, 0);
}
