//! Is one policy at least as strict as another?

use ostrom_core::handling::{Handling, Policy, Tlp};

/// Whether certainly nobody may read under `new` who may not under `old`. `false` may also mean that it cannot be told: then the
/// change counts as a downgrade. Who wrote an object does not count.
pub fn is_no_wider(new: &Policy, old: &Policy) -> bool {
    old.handlings().all(|old| new.handlings().any(|new| implies(new, old)))
}

/// The handlings of `old` that nothing in `new` keeps.
pub(super) fn opened<'a>(new: &'a Policy, old: &'a Policy) -> impl Iterator<Item = &'a Handling> {
    old.handlings().filter(|old| !new.handlings().any(|new| implies(new, old)))
}

/// Whether whoever may read under `new` may under `old`.
fn implies(new: &Handling, old: &Handling) -> bool {
    if new.refused.is_some() {
        return true;
    }
    if old.refused.is_some() || new.owner != old.owner {
        return false;
    }
    let author = |handling: &Handling| Handling { author: None, ..handling.clone() };
    if author(new) == author(old) {
        return true;
    }
    // What an exchange policy forbids it forbids to all: it must stay as it is.
    let same_iep = old.iep.is_none() || new.iep == old.iep;
    let embargo = match (&new.embargo, &old.embargo) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(new), Some(old)) => new.until >= old.until && new.parties.is_subset(&old.parties),
    };
    let audience = match (old.audience.is_empty(), old.tlp) {
        // For everybody, or every member: among them are all who may be named, except that only members are members.
        (true, Tlp::Clear) => true,
        (true, Tlp::Green) => new.audience.is_empty(),
        // For the owner alone.
        (true, _) => new.audience.is_empty(),
        (false, _) => !new.audience.is_empty() && new.audience.is_subset(&old.audience),
    };
    same_iep && embargo && audience && new.tlp >= old.tlp
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ostrom_core::handling::{Embargo, Party, Reader};
    use ostrom_core::{OrgId, PersonId, Timestamp, Uuid};
    use proptest::prelude::*;

    use super::*;

    fn org(n: u128) -> OrgId {
        OrgId::new(Uuid::from_u128(n))
    }

    fn handlings() -> impl Strategy<Value = Handling> {
        let parties = || {
            let party = prop_oneof![
                (0u128..3).prop_map(|n| Party::Organisation(org(n))),
                (0u128..3).prop_map(|n| Party::Person(PersonId::new(Uuid::from_u128(n)))),
            ];
            prop::collection::btree_set(party, 0..3)
        };
        let embargo = (0i64..3, parties())
            .prop_map(|(until, parties)| Embargo { until: Timestamp::EPOCH.plus_seconds(until), parties });
        (0u128..2, 0usize..5, parties(), prop::option::of(embargo), prop::bool::weighted(0.1)).prop_map(
            |(owner, tlp, audience, embargo, refused)| Handling {
                audience,
                embargo,
                refused: refused.then(|| "x".to_owned()),
                ..Handling::new(org(owner), Tlp::ALL[tlp])
            },
        )
    }

    fn readers() -> Vec<Reader> {
        let mut all = vec![Reader::anonymous(true)];
        for organisation in 0..3 {
            for person in [None, Some(0), Some(1), Some(2)] {
                for client in [None, Some(0), Some(1)] {
                    all.push(Reader {
                        organisation: Some(org(organisation)),
                        person: person.map(|n| PersonId::new(Uuid::from_u128(n))),
                        client_of: client.map(org).into_iter().collect::<BTreeSet<_>>(),
                        ..Reader::anonymous(true)
                    });
                }
            }
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_is_no_wider_lets_nobody_read_more(
            new in prop::collection::vec(handlings(), 1..3),
            old in prop::collection::vec(handlings(), 1..3),
        ) {
            let (new, old) = (Policy::new(new), Policy::new(old));
            prop_assert!(is_no_wider(&new, &new));
            if is_no_wider(&new, &old) {
                for reader in readers() {
                    for second in 0..4 {
                        let now = Timestamp::EPOCH.plus_seconds(second);
                        prop_assert!(!new.allows(&reader, now) || old.allows(&reader, now), "{reader:?} at {second}");
                    }
                }
            }
        }

        #[test]
        fn a_stricter_mark_alone_is_no_wider(handling in handlings(), tlp in 0usize..5) {
            let stricter = Handling { tlp: handling.tlp.max(Tlp::ALL[tlp]), ..handling.clone() };
            prop_assert!(is_no_wider(&Policy::new([stricter]), &Policy::new([handling])));
        }
    }
}
