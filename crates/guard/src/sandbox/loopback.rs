//! A loopback interface of one's own: a new network namespace with nothing else in it.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send, socket};
use rustix::process::{getgid, getuid};
use rustix::thread::UnshareFlags;

/// Moves this process, which must have only one thread, into a network namespace with a loopback interface that is up.
pub(super) fn make() -> io::Result<()> {
    match unshare(UnshareFlags::NEWNET) {
        Ok(()) => {}
        Err(Errno::PERM) => {
            // An ordinary user may in a user namespace of their own, where the kernel and the system allow these.
            let (user, group) = (getuid().as_raw(), getgid().as_raw());
            unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET)?;
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
            fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
        }
        Err(error) => return Err(error.into()),
    }
    bring_up()
}

#[allow(
    deprecated,
    reason = "the function was deprecated because of the flag FILES, which is not used; its successor is unsafe for all flags"
)]
fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    rustix::thread::unshare(flags)
}

/// Sets the first interface, which is always the loopback, up: one message of rtnetlink(7), answered by a number.
fn bring_up() -> io::Result<()> {
    const NEW_LINK: u16 = 16;
    const REQUEST_WITH_ANSWER: u16 = 0x1 | 0x4;
    const UP: u32 = 1;
    const HEADER: usize = 16;
    let mut message = Vec::with_capacity(32);
    message.extend(32u32.to_ne_bytes());
    message.extend(NEW_LINK.to_ne_bytes());
    message.extend(REQUEST_WITH_ANSWER.to_ne_bytes());
    message.extend([0; 8]); // sequence and sender
    message.extend([0; 4]); // family and type
    message.extend(1i32.to_ne_bytes()); // the interface
    message.extend(UP.to_ne_bytes()); // its flags
    message.extend(UP.to_ne_bytes()); // which flags to change
    let netlink = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    send(&netlink, &message, SendFlags::empty())?;
    let mut answer = [0u8; 1024];
    let (received, _) = recv(&netlink, &mut answer, RecvFlags::empty())?;
    let number = answer
        .get(..received)
        .and_then(|answer| answer.get(HEADER..))
        .and_then(|answer| answer.first_chunk::<4>())
        .map(|bytes| i32::from_ne_bytes(*bytes));
    match number {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno.saturating_neg())),
        None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}
