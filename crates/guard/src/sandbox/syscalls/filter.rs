//! Which calls are forbidden.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter, sock_filter,
};

use super::super::spec::{Modes, Network, Spec};

/// The newest call that was looked at (`removexattrat`). Both processors number alike since 424. On x86_64 the bound
/// also keeps out the x32 variants, whose numbers have a high bit and would pass by every rule.
pub(super) const KNOWN: u32 = 466;

/// Calls that the `libc` crate does not name, or not on every system.
#[cfg(target_arch = "x86_64")]
const KEXEC_FILE_LOAD: c_long = 320;
#[cfg(target_arch = "aarch64")]
const KEXEC_FILE_LOAD: c_long = 294;
const FCHMODAT2: c_long = 452;
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;

/// Never allowed, and answered with "not permitted".
pub(super) const FORBIDDEN: &[c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Leaving the group by which the guard kills the family.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // The tree of files, by ways that Landlock does not see.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Memory and queues shared by number or name, beside the tree of files.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // Namespaces, in which an ordinary user has the powers of root over much of the kernel.
    libc::SYS_unshare,
    libc::SYS_setns,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    KEXEC_FILE_LOAD,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

#[cfg(target_arch = "x86_64")]
pub(super) const FORBIDDEN_HERE: &[c_long] = &[
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
];
#[cfg(target_arch = "aarch64")]
pub(super) const FORBIDDEN_HERE: &[c_long] = &[];

/// Modes, owners and attributes, which Landlock lets be changed anywhere: by path, and by a descriptor that was opened for reading.
pub(super) const MODES: &[c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_fsetxattr,
    libc::SYS_fremovexattr,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    SETXATTRAT,
    REMOVEXATTRAT,
];
#[cfg(target_arch = "x86_64")]
pub(super) const MODES_HERE: &[c_long] = &[libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown];
#[cfg(target_arch = "aarch64")]
pub(super) const MODES_HERE: &[c_long] = &[];

/// Of these what [`Modes::Ignored`] answers as if it had been done: modes alone, since whoever changes owners or attributes relies on it.
pub(super) const IGNORED: &[c_long] = &[libc::SYS_fchmod, libc::SYS_fchmodat, FCHMODAT2];
#[cfg(target_arch = "x86_64")]
pub(super) const IGNORED_HERE: &[c_long] = &[libc::SYS_chmod];
#[cfg(target_arch = "aarch64")]
pub(super) const IGNORED_HERE: &[c_long] = &[];

/// Answered as by a kernel without them, so that programs fall back: `clone3` has its flags where no filter can read
/// them, and `io_uring` does work that no filter sees.
pub(super) const MISSING: &[c_long] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// New namespaces.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWCGROUP,
];

/// Input put into a terminal as if typed.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// Flags of a file (`chattr`), set by a descriptor that was opened for reading: FS_IOC_SETFLAGS, the same of 32 bits, FS_IOC_FSSETXATTR.
pub(super) const FLAGS: [u64; 3] = [0x4008_6602, 0x4004_6602, 0x401c_5820];

/// The bits of a socket's type that are not flags.
const TYPE: u64 = 0xf;

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Restricts this process, or says why the kernel cannot.
pub(in super::super) fn restrict(spec: &Spec, network: &Network) -> Result<(), String> {
    let programs = programs(spec, network).map_err(|error| error.to_string())?;
    for program in programs {
        apply_filter(&program).map_err(|error| format!("the kernel takes no filter ({error})"))?;
    }
    Ok(())
}

/// The filters, in the order in which they are put in force.
pub(super) fn programs(spec: &Spec, network: &Network) -> Result<Vec<BpfProgram>, BackendError> {
    let mut forbidden: Rules = all(FORBIDDEN).chain(all(FORBIDDEN_HERE)).collect();
    let mut ignored = Rules::new();
    if spec.modes != Modes::Allowed {
        forbidden.extend(all(MODES).chain(all(MODES_HERE)));
        if spec.modes == Modes::Ignored {
            ignored.extend(all(IGNORED).chain(all(IGNORED_HERE)));
            forbidden.retain(|call, _| !ignored.contains_key(call));
        }
        for request in FLAGS {
            forbid(&mut forbidden, libc::SYS_ioctl, &[(1, Eq, request)])?;
        }
    }
    conditional(&mut forbidden)?;
    sockets(&mut forbidden, spec, network)?;
    let mut programs = vec![
        newer_than_known(),
        compile(all(MISSING).collect(), libc::ENOSYS)?,
        compile(forbidden, libc::EPERM)?,
    ];
    if !ignored.is_empty() {
        // To fail with error 0 is to succeed without having done anything.
        programs.push(compile(ignored, 0)?);
    }
    Ok(programs)
}

/// Forbids without looking at arguments.
fn all(calls: &[c_long]) -> impl Iterator<Item = (c_long, Vec<SeccompRule>)> {
    calls.iter().map(|call| (*call, Vec::new()))
}

/// What is forbidden for some arguments.
fn conditional(rules: &mut Rules) -> Result<(), BackendError> {
    for flag in NAMESPACES {
        let flag = u64::from(flag.unsigned_abs());
        forbid(rules, libc::SYS_clone, &[(0, MaskedEq(flag), flag)])?;
    }
    for request in TYPING {
        forbid(rules, libc::SYS_ioctl, &[(1, Eq, request)])?;
    }
    // Limits of another process.
    forbid(rules, libc::SYS_prlimit64, &[(0, Ne, 0)])?;
    // Another execution domain than Linux's; all ones only asks.
    forbid(rules, libc::SYS_personality, &[(0, Ne, 0), (0, Ne, 0xffff_ffff)])
}

fn sockets(rules: &mut Rules, spec: &Spec, network: &Network) -> Result<(), BackendError> {
    let family = |family: libc::c_int| u64::from(family.unsigned_abs());
    let [unix, inet, inet6, netlink] =
        [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(family);
    let mut allowed = Vec::new();
    if spec.unix_sockets {
        allowed.push(unix);
    }
    if *network != Network::None {
        allowed.extend([inet, inet6]);
    }
    if matches!(network, Network::Loopback | Network::All) {
        allowed.push(netlink);
        // Of netlink only the table of interfaces and routes, which name look-ups read.
        forbid(rules, libc::SYS_socket, &[(0, Eq, netlink), (2, Ne, 0)])?;
    }
    if allowed.is_empty() {
        rules.insert(libc::SYS_socket, Vec::new());
    } else {
        let others: Vec<_> = allowed.iter().map(|family| (0, Ne, *family)).collect();
        forbid(rules, libc::SYS_socket, &others)?;
    }
    for family in allowed.into_iter().filter(|family| [inet, inet6].contains(family)) {
        for raw in [libc::SOCK_RAW, 10] {
            let raw = u64::from(raw.unsigned_abs());
            forbid(rules, libc::SYS_socket, &[(0, Eq, family), (1, MaskedEq(TYPE), raw)])?;
        }
        if matches!(network, Network::Ports(_)) {
            tcp_only(rules, family)?;
        }
    }
    // Pairs are how programs talk to what they start. One without a connection could be sent to any name.
    forbid(rules, libc::SYS_socketpair, &[(0, Ne, unix)])?;
    if !spec.unix_sockets {
        for unconnected in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
            let unconnected = u64::from(unconnected.unsigned_abs());
            forbid(rules, libc::SYS_socketpair, &[(1, MaskedEq(TYPE), unconnected)])?;
        }
    }
    Ok(())
}

/// Leaves sockets of `family` only what Landlock's rules of ports apply to.
fn tcp_only(rules: &mut Rules, family: u64) -> Result<(), BackendError> {
    let tcp = u64::from(libc::IPPROTO_TCP.unsigned_abs());
    for kind in (0..=TYPE).filter(|kind| *kind != u64::from(libc::SOCK_STREAM.unsigned_abs())) {
        forbid(rules, libc::SYS_socket, &[(0, Eq, family), (1, MaskedEq(TYPE), kind)])?;
    }
    forbid(rules, libc::SYS_socket, &[(0, Eq, family), (2, Ne, 0), (2, Ne, tcp)])?;
    // Data in the first packet connects without a call to connect, which is where ports are checked.
    let fast = u64::from(libc::MSG_FASTOPEN.unsigned_abs());
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        forbid(rules, call, &[(flags, MaskedEq(fast), fast)])?;
    }
    // Listening would take connections from anywhere without a port being bound.
    rules.insert(libc::SYS_listen, Vec::new());
    Ok(())
}

/// Forbids `call` where all of these hold: argument, comparison, value. Only the lower half of an argument counts,
/// since all of these are `int` to the kernel.
fn forbid(
    rules: &mut Rules,
    call: c_long,
    conditions: &[(u8, SeccompCmpOp, u64)],
) -> Result<(), BackendError> {
    let conditions: Result<Vec<_>, _> = conditions
        .iter()
        .map(|(argument, comparison, value)| {
            SeccompCondition::new(*argument, Dword, comparison.clone(), *value)
        })
        .collect();
    rules.entry(call).or_default().push(SeccompRule::new(conditions?)?);
    Ok(())
}

fn compile(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, BackendError> {
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, answer, std::env::consts::ARCH.try_into()?)?.try_into()
}

/// Answers every call with a number above [`KNOWN`] as unknown.
fn newer_than_known() -> BpfProgram {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_GREATER: u16 = 0x25;
    const RETURN: u16 = 0x06;
    let unknown = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    vec![
        // The number is the first word of what a filter sees.
        sock_filter { code: LOAD_WORD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_GREATER, jt: 0, jf: 1, k: KNOWN },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: unknown },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ]
}
