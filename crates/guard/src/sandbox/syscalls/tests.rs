//! The filters, run by an interpreter of the few instructions that they are made of: what every kernel would answer.

use libc::{c_int, c_long};
use proptest::prelude::*;
use seccompiler::{BpfProgram, sock_filter};

use super::super::spec::{Limits, Modes, Network, Spec};
use super::filter::{
    FLAGS, FORBIDDEN, FORBIDDEN_HERE, IGNORED, IGNORED_HERE, KNOWN, MISSING, MODES, MODES_HERE, programs,
};

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;

const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;
const DENIED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

fn run(program: &BpfProgram, arch: u32, call: u32, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::from(call.to_le_bytes());
    data.extend(arch.to_le_bytes());
    data.extend([0; 8]);
    data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
    let (mut at, mut word) = (0usize, 0u32);
    loop {
        let sock_filter { code, jt, jf, k } = program[at].clone();
        at += 1;
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        match code {
            0x20 => word = u32::from_le_bytes(data[k as usize..][..4].try_into().unwrap()),
            0x54 => word &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(word == k),
            0x25 => at += jump(word > k),
            0x35 => at += jump(word >= k),
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// What the filters together answer: the strictest, and of equals the last put in force.
fn answer_on(arch: u32, spec: &Spec, call: u32, arguments: [u64; 6]) -> u32 {
    let all = programs(spec, &spec.network).unwrap();
    all.iter()
        .rev()
        .map(|program| run(program, arch, call, arguments))
        .min_by_key(|action| (action & 0xffff_0000) as i32)
        .unwrap()
}

fn answer(spec: &Spec, call: c_long, arguments: &[u64]) -> u32 {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    answer_on(ARCH, spec, u32::try_from(call).unwrap(), all)
}

fn spec(network: Network) -> Spec {
    Spec {
        system: vec![],
        code: vec![],
        read: vec![],
        write: vec![],
        execute: vec![],
        home: "/h".into(),
        network,
        unix_sockets: false,
        modes: Modes::Refused,
        limits: Limits::default(),
        require: true,
        report: "/r".into(),
    }
}

/// Checks which sockets there may be: family, type, protocol.
fn check_sockets(spec: &Spec, allowed: &[(c_int, c_int, c_int)], denied: &[(c_int, c_int, c_int)]) {
    for (sockets, expect) in [(allowed, ALLOWED), (denied, DENIED)] {
        for (family, kind, protocol) in sockets {
            for flags in [0, libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK] {
                // The kernel looks at the lower half only, so what is in the upper must not matter.
                for upper in [0, 1 << 32] {
                    let arguments = [*family, *kind | flags, *protocol].map(|word| upper | word as u64);
                    let found = answer(spec, libc::SYS_socket, &arguments);
                    assert_eq!(found, expect, "{:?}: {family} {kind} {protocol}", spec.network);
                }
            }
        }
    }
}

const TCP: (c_int, c_int, c_int) = (libc::AF_INET, libc::SOCK_STREAM, 0);
const TCP6: (c_int, c_int, c_int) = (libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP);
const UDP: (c_int, c_int, c_int) = (libc::AF_INET, libc::SOCK_DGRAM, 0);
const RAW: (c_int, c_int, c_int) = (libc::AF_INET, libc::SOCK_RAW, 1);
const UNIX: (c_int, c_int, c_int) = (libc::AF_UNIX, libc::SOCK_STREAM, 0);
const ROUTES: (c_int, c_int, c_int) = (libc::AF_NETLINK, libc::SOCK_RAW, 0);
const OTHERS: [(c_int, c_int, c_int); 5] = [
    (libc::AF_NETLINK, libc::SOCK_RAW, 9),
    (libc::AF_PACKET, libc::SOCK_RAW, 3),
    (libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    (libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    (libc::AF_BLUETOOTH, libc::SOCK_STREAM, 0),
];

#[test]
fn sockets_are_those_of_the_granted_network() {
    check_sockets(&spec(Network::None), &[], &[&[TCP, TCP6, UDP, RAW, UNIX, ROUTES], &OTHERS[..]].concat());
    for network in [Network::All, Network::Loopback] {
        let denied = [&[RAW, UNIX], &OTHERS[..]].concat();
        check_sockets(&spec(network), &[TCP, TCP6, UDP, ROUTES], &denied);
    }
    let mptcp = (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP);
    let denied = [&[UDP, RAW, UNIX, ROUTES, mptcp], &OTHERS[..]].concat();
    check_sockets(&spec(Network::Ports(vec![1])), &[TCP, TCP6], &denied);
    let named = Spec { unix_sockets: true, ..spec(Network::None) };
    check_sockets(&named, &[UNIX], &[&[TCP, UDP, RAW, ROUTES], &OTHERS[..]].concat());
}

#[test]
fn data_in_a_first_packet_does_not_get_around_ports() {
    let fast = libc::MSG_FASTOPEN as u64;
    for (call, at) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        let mut arguments = [0; 4];
        assert_eq!(answer(&spec(Network::Ports(vec![1])), call, &arguments), ALLOWED);
        arguments[at] = fast | 1;
        assert_eq!(answer(&spec(Network::Ports(vec![1])), call, &arguments), DENIED);
    }
}

#[test]
fn pairs_are_connected_ones() {
    let pair = |spec: &Spec, family: c_int, kind: c_int| {
        answer(spec, libc::SYS_socketpair, &[family as u64, (kind | libc::SOCK_CLOEXEC) as u64])
    };
    let none = spec(Network::None);
    assert_eq!(pair(&none, libc::AF_UNIX, libc::SOCK_STREAM), ALLOWED);
    assert_eq!(pair(&none, libc::AF_UNIX, libc::SOCK_SEQPACKET), ALLOWED);
    assert_eq!(pair(&none, libc::AF_UNIX, libc::SOCK_DGRAM), DENIED);
    assert_eq!(pair(&none, libc::AF_TIPC, libc::SOCK_STREAM), DENIED);
    assert_eq!(pair(&Spec { unix_sockets: true, ..none }, libc::AF_UNIX, libc::SOCK_DGRAM), ALLOWED);
}

#[test]
fn what_is_forbidden_is_so_whatever_the_arguments() {
    for network in [Network::None, Network::Loopback, Network::Ports(vec![]), Network::All] {
        let spec = Spec { unix_sockets: true, ..spec(network) };
        for (calls, expect) in [
            (FORBIDDEN, DENIED),
            (FORBIDDEN_HERE, DENIED),
            (MODES, DENIED),
            (MODES_HERE, DENIED),
            (MISSING, UNKNOWN),
        ] {
            for call in calls {
                for arguments in [[0; 6], [u64::MAX; 6]] {
                    assert_eq!(answer(&spec, *call, &arguments), expect, "{call}");
                }
            }
        }
    }
    let granted = Spec { modes: Modes::Allowed, ..spec(Network::None) };
    for call in MODES.iter().chain(MODES_HERE) {
        assert_eq!(answer(&granted, *call, &[]), ALLOWED, "{call}");
    }
}

#[test]
fn modes_that_are_ignored_seem_to_change_and_nothing_else_does() {
    let ignoring = Spec { modes: Modes::Ignored, ..spec(Network::None) };
    for call in MODES.iter().chain(MODES_HERE) {
        let ignored = IGNORED.contains(call) || IGNORED_HERE.contains(call);
        // Error 0: the kernel skips the call and says that it went well.
        let expect = if ignored { libc::SECCOMP_RET_ERRNO } else { DENIED };
        assert_eq!(answer(&ignoring, *call, &[]), expect, "{call}");
    }
    for flags in FLAGS {
        assert_eq!(answer(&ignoring, libc::SYS_ioctl, &[3, flags]), DENIED);
    }
    assert_eq!(answer(&ignoring, libc::SYS_socket, &[0; 6]), DENIED);
}

#[test]
fn some_calls_are_forbidden_for_some_arguments() {
    let none = spec(Network::None);
    let check = |call, arguments: &[u64], expect| {
        assert_eq!(answer(&none, call, arguments), expect, "{call} {arguments:x?}")
    };
    let thread =
        (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD)
            as u64;
    check(libc::SYS_clone, &[thread], ALLOWED);
    check(libc::SYS_clone, &[libc::SIGCHLD as u64], ALLOWED);
    for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET, libc::CLONE_NEWPID] {
        check(libc::SYS_clone, &[flag as u64 | libc::SIGCHLD as u64], DENIED);
    }
    check(libc::SYS_ioctl, &[0, 0x5401], ALLOWED);
    check(libc::SYS_ioctl, &[0, 0x5412], DENIED);
    check(libc::SYS_ioctl, &[0, 0x5412 | 1 << 40], DENIED);
    for flags in FLAGS {
        check(libc::SYS_ioctl, &[3, flags], DENIED);
        let granted = Spec { modes: Modes::Allowed, ..spec(Network::None) };
        assert_eq!(answer(&granted, libc::SYS_ioctl, &[3, flags]), ALLOWED);
    }
    check(libc::SYS_prlimit64, &[0, 7], ALLOWED);
    check(libc::SYS_prlimit64, &[1234, 7], DENIED);
    check(libc::SYS_personality, &[0], ALLOWED);
    check(libc::SYS_personality, &[0xffff_ffff], ALLOWED);
    check(libc::SYS_personality, &[0x0040_0000], DENIED);
    for call in [libc::SYS_read, libc::SYS_execve, libc::SYS_openat, libc::SYS_fstat, libc::SYS_getpid] {
        check(call, &[], ALLOWED);
    }
}

#[test]
fn another_processor_s_calls_kill() {
    // i386 and arm: the same numbers mean other calls.
    for arch in [0x4000_0003, 0x4000_0028] {
        let found = answer_on(arch, &spec(Network::All), libc::SYS_getpid as u32, [0; 6]);
        assert_eq!(found, libc::SECCOMP_RET_KILL_PROCESS);
    }
}

proptest! {
    #[test]
    fn calls_that_nobody_looked_at_are_unknown(call in KNOWN + 1.., arguments: [u64; 6]) {
        prop_assert_eq!(answer_on(ARCH, &spec(Network::All), call, arguments), UNKNOWN);
    }

    #[test]
    fn without_a_network_no_arguments_make_a_socket(arguments: [u64; 6]) {
        prop_assert_eq!(answer(&spec(Network::None), libc::SYS_socket, &arguments), DENIED);
    }

    #[test]
    fn with_ports_only_tcp_is_made(family in prop_oneof![Just(2u64), Just(10)], kind: u32, protocol: u32) {
        let ports = spec(Network::Ports(vec![443]));
        let found = answer(&ports, libc::SYS_socket, &[family, u64::from(kind), u64::from(protocol)]);
        let tcp = kind & 0xf == 1 && [0, 6].contains(&protocol);
        prop_assert_eq!(found == ALLOWED, tcp);
    }
}
