//! What of a sandbox the kernel really enforces.

use serde::{Deserialize, Serialize};

use super::spec::{Modes, Network, Spec};

/// How much of one part is enforced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "missing")]
pub enum Enforcement {
    /// Everything that was asked for.
    Full,
    /// Everything but these.
    Partial(Vec<String>),
    /// Nothing, and why.
    None(String),
}

impl Enforcement {
    /// Full, or all but what is missing.
    pub fn but(missing: Vec<String>) -> Self {
        if missing.is_empty() { Self::Full } else { Self::Partial(missing) }
    }
}

/// What the kernel enforces, as the confined process found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Only granted files.
    pub filesystem: Enforcement,
    /// Only the granted network.
    pub network: Enforcement,
    /// No system calls that programs do not need and escapes do.
    pub syscalls: Enforcement,
    /// No privileges, no reach into other processes, limits on resources.
    pub processes: Enforcement,
    /// What was granted and cannot be given here. This takes nothing from safety.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unavailable: Vec<String>,
}

impl Report {
    /// Nothing is enforced, for one reason.
    pub fn none(why: &str) -> Self {
        let none = || Enforcement::None(why.to_owned());
        Self {
            filesystem: none(),
            network: none(),
            syscalls: none(),
            processes: none(),
            unavailable: Vec::new(),
        }
    }

    /// What is not enforced, a sentence each. Empty if everything is.
    pub fn shortfalls(&self) -> Vec<String> {
        let parts = [
            ("files", &self.filesystem),
            ("network", &self.network),
            ("system calls", &self.syscalls),
            ("processes", &self.processes),
        ];
        let mut all = Vec::new();
        for (part, enforcement) in parts {
            match enforcement {
                Enforcement::Full => {}
                Enforcement::Partial(missing) => {
                    all.extend(missing.iter().map(|missing| format!("{part}: {missing}")));
                }
                Enforcement::None(why) => all.push(format!("{part}: nothing is enforced, because {why}")),
            }
        }
        all
    }
}

/// What the kernel took of the Landlock rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has Landlock"))]
pub(super) enum Landlock {
    /// Nothing, and why.
    Without(&'static str),
    /// What this version of the interface has.
    Version(u32),
}

/// What is enforced of `spec` with `network` by a kernel with this Landlock, and with a seccomp filter or a reason why
/// not.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has Landlock"))]
pub(super) fn enforced(
    spec: &Spec,
    network: &Network,
    landlock: Landlock,
    filter: &Result<(), String>,
) -> Report {
    let version = match landlock {
        Landlock::Without(_) => 0,
        Landlock::Version(version) => version,
    };
    let filtered = filter.is_ok();
    let lacks = |when: bool, what: &str| when.then(|| what.to_owned());
    // A filter without Unix sockets forbids them all; what Landlock lacks matters only where they are granted.
    let sockets = spec.unix_sockets || !filtered;
    let files = [
        lacks(version < 3, "files that may only be read can be truncated"),
        lacks(version < 5, "commands to devices (ioctl) that may only be read"),
        lacks(sockets && version < 9, "Unix sockets outside the granted folders can be reached"),
        lacks(sockets && version < 6, "abstract Unix sockets can be reached"),
        lacks(
            spec.modes != Modes::Allowed && !filtered,
            "modes, owners and attributes of all the user's files can be changed",
        ),
    ];
    let filesystem = match landlock {
        Landlock::Without(why) => Enforcement::None(why.to_owned()),
        Landlock::Version(_) => Enforcement::but(files.into_iter().flatten().collect()),
    };
    let network = match (network, filter) {
        (Network::All | Network::Loopback, _) => Enforcement::Full,
        (Network::None, Ok(())) => Enforcement::Full,
        (Network::Ports(_), Ok(())) => {
            Enforcement::but(lacks(version < 4, "TCP to every port is possible").into_iter().collect())
        }
        (Network::None | Network::Ports(_), Err(_)) if version >= 4 => {
            Enforcement::Partial(vec!["UDP and other protocols than TCP are possible".into()])
        }
        (Network::None | Network::Ports(_), Err(why)) => Enforcement::None(why.clone()),
    };
    Report {
        filesystem,
        network,
        syscalls: filter.as_ref().map_or_else(|why| Enforcement::None(why.clone()), |()| Enforcement::Full),
        processes: Enforcement::but(
            lacks(version < 6, "signals can be sent to the user's other processes").into_iter().collect(),
        ),
        unavailable: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::Limits;
    use super::*;

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

    fn check(spec: &Spec, landlock: Landlock, filter: Result<(), &str>, expect: &[&str]) {
        let filter = filter.map_err(str::to_owned);
        let report = enforced(spec, &spec.network.clone(), landlock, &filter);
        let found: Vec<String> = report.shortfalls();
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{found:?}");
        }
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    fn a_full_kernel_has_no_shortfalls() {
        for network in [Network::None, Network::Loopback, Network::Ports(vec![5432]), Network::All] {
            check(&spec(network), Landlock::Version(6), Ok(()), &[]);
        }
    }

    #[test]
    fn what_an_old_kernel_lacks_is_named() {
        let none = spec(Network::None);
        check(&none, Landlock::Version(5), Ok(()), &["signals"]);
        check(&none, Landlock::Version(4), Ok(()), &["ioctl", "signals"]);
        check(&none, Landlock::Version(2), Ok(()), &["truncated", "ioctl", "signals"]);
        check(&none, Landlock::Without("no Landlock"), Ok(()), &["files: nothing", "signals"]);
        check(
            &spec(Network::Ports(vec![1])),
            Landlock::Version(3),
            Ok(()),
            &["ioctl", "every port", "signals"],
        );
    }

    #[test]
    fn without_a_filter_nothing_that_it_does_is_claimed() {
        let none = spec(Network::None);
        let expect = [
            "Unix sockets outside",
            "modes, owners",
            "UDP",
            "system calls: nothing is enforced, because no filter",
        ];
        check(&none, Landlock::Version(7), Err("no filter"), &expect);
        let report = enforced(&none, &Network::None, Landlock::Without("x"), &Err("no filter".into()));
        assert_eq!(report.network, Enforcement::None("no filter".into()));
    }

    #[test]
    fn grants_that_landlock_cannot_confine_are_named() {
        let granted = Spec { unix_sockets: true, modes: Modes::Allowed, ..spec(Network::None) };
        check(&granted, Landlock::Version(8), Ok(()), &["Unix sockets outside"]);
        check(&granted, Landlock::Version(9), Ok(()), &[]);
    }
}
