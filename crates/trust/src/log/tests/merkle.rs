//! Trees and proofs: the vectors of Certificate Transparency, and the recursive definitions of RFC 9162.

use std::convert::Infallible;

use data_encoding::HEXLOWER;
use ostrom_core::Digest;
use proptest::prelude::*;

use super::super::merkle::*;

/// The entries and roots that implementations of Certificate Transparency test each other with.
const ENTRIES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn leaves(count: usize) -> Vec<Digest> {
    (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
}

fn known_leaves() -> Vec<Digest> {
    ENTRIES.iter().map(|entry| leaf_hash(&HEXLOWER.decode(entry.as_bytes()).unwrap())).collect()
}

/// MTH(D[n]) as RFC 9162 section 2.1.1 defines it.
fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// PATH(m, D[n]) as RFC 9162 section 2.1.3.1 defines it.
fn naive_path(index: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut path, other) = if index < split {
        (naive_path(index, left), right)
    } else {
        (naive_path(index - split, right), left)
    };
    path.push(naive_root(other));
    path
}

/// SUBPROOF(m, D[n], b) as RFC 9162 section 2.1.4.1 defines it.
fn naive_subproof(old: usize, leaves: &[Digest], is_whole: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if is_whole { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut proof, other) = if old <= split {
        (naive_subproof(old, left, is_whole), right)
    } else {
        (naive_subproof(old - split, right, false), left)
    };
    proof.push(naive_root(other));
    proof
}

fn reader(leaves: &[Digest]) -> impl FnMut(Node) -> Result<Digest, ProofError> + '_ {
    |Node { level, index }| {
        let (from, width) = ((index << level) as usize, 1 << level);
        Ok(naive_root(&leaves[from..from + width]))
    }
}

#[test]
fn roots_are_those_of_the_known_vectors() {
    let (leaves, mut tree) = (known_leaves(), Tree::new());
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(tree.root().to_string(), *root, "of {size} entries");
        assert_eq!(naive_root(&leaves[..size]).to_string(), *root);
        if let Some(leaf) = leaves.get(size) {
            tree.push(*leaf);
        }
    }
}

#[test]
fn proofs_are_those_of_the_known_vectors() {
    let leaves = known_leaves();
    let hex = |proof: Vec<Digest>| proof.iter().map(Digest::to_string).collect::<Vec<_>>();
    let path = inclusion_proof(5, 8, &mut reader(&leaves)).unwrap();
    let expected = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(hex(path), expected);
    let proof = consistency_proof(6, 8, &mut reader(&leaves)).unwrap();
    let expected = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(hex(proof), expected);
}

#[test]
fn every_pair_of_small_trees_has_proofs_that_verify() {
    let all = leaves(34);
    for new in 0..=all.len() {
        let (leaves, root) = (&all[..new], naive_root(&all[..new]));
        for old in 0..=new {
            let proof = consistency_proof(old as u64, new as u64, &mut reader(leaves)).unwrap();
            if old > 0 {
                assert_eq!(proof, naive_subproof(old, leaves, true));
            }
            let old_root = naive_root(&all[..old]);
            assert_eq!(verify_consistency(old as u64, new as u64, &proof, &old_root, &root), Ok(()));
            let other = Digest::of(b"other");
            assert!(verify_consistency(old as u64, new as u64, &proof, &other, &root).is_err());
            if old > 0 {
                assert!(verify_consistency(old as u64, new as u64, &proof, &old_root, &other).is_err());
            }
        }
        for index in 0..new {
            let proof = inclusion_proof(index as u64, new as u64, &mut reader(leaves)).unwrap();
            assert_eq!(proof, naive_path(index, leaves));
            assert_eq!(verify_inclusion(&leaves[index], index as u64, new as u64, &proof, &root), Ok(()));
        }
    }
}

#[test]
fn what_lies_beyond_the_tree_has_no_proof() {
    let leaves = leaves(3);
    let beyond = |asked| Err(ProofError::Beyond { asked, size: 3 });
    assert_eq!(inclusion_proof(3, 3, &mut reader(&leaves)), beyond(3));
    assert_eq!(consistency_proof(4, 3, &mut reader(&leaves)), beyond(4));
    let root = naive_root(&leaves);
    assert!(verify_inclusion(&leaves[0], 3, 3, &[], &root).is_err());
    assert!(verify_inclusion(&leaves[0], 0, 0, &[], &empty_root()).is_err());
    assert!(verify_consistency(4, 3, &[], &root, &root).is_err());
}

proptest! {
    #[test]
    fn a_growing_tree_has_the_root_of_the_definition(size in 0_usize..600) {
        let leaves = leaves(size);
        let mut tree = Tree::new();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        prop_assert_eq!(tree.root(), naive_root(&leaves));
        prop_assert_eq!(root(size as u64, &mut reader(&leaves)).unwrap(), naive_root(&leaves));
        let mut infallible = |node: Node| Ok::<_, Infallible>(reader(&leaves)(node).unwrap());
        let resumed = Tree::resume(size as u64, &mut infallible).unwrap();
        prop_assert_eq!((resumed.size(), resumed.root()), (size as u64, tree.root()));
    }

    #[test]
    fn no_changed_inclusion_proof_verifies(size in 1_usize..300, index in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let leaves = leaves(size);
        let (index, root) = (index.index(size), naive_root(&leaves));
        let proof = inclusion_proof(index as u64, size as u64, &mut reader(&leaves)).unwrap();
        let check = |index: usize, proof: &[Digest]| verify_inclusion(&leaves[index], index as u64, size as u64, proof, &root);
        prop_assert_eq!(check(index, &proof), Ok(()));
        let other = other.index(size);
        if other != index {
            prop_assert!(verify_inclusion(&leaves[index], other as u64, size as u64, &proof, &root).is_err());
            prop_assert!(verify_inclusion(&leaves[other], index as u64, size as u64, &proof, &root).is_err());
        }
        let mut longer = proof.clone();
        longer.push(root);
        prop_assert!(check(index, &longer).is_err());
        if !proof.is_empty() {
            prop_assert!(check(index, &proof[1..]).is_err());
            let at = byte.index(proof.len() * 32);
            let mut changed = proof.clone();
            let mut bytes = *changed[at / 32].as_bytes();
            bytes[at % 32] ^= 1 << bit;
            changed[at / 32] = Digest::from_bytes(bytes);
            prop_assert!(check(index, &changed).is_err());
        }
    }

    #[test]
    fn no_changed_consistency_proof_verifies(new in 2_usize..300, old in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let leaves = leaves(new);
        let old = 1 + old.index(new - 1);
        let (old_root, new_root) = (naive_root(&leaves[..old]), naive_root(&leaves));
        let proof = consistency_proof(old as u64, new as u64, &mut reader(&leaves)).unwrap();
        let check = |proof: &[Digest]| verify_consistency(old as u64, new as u64, proof, &old_root, &new_root);
        prop_assert_eq!(check(&proof), Ok(()));
        prop_assert!(check(&proof[1..]).is_err());
        prop_assert!(check(&[proof.as_slice(), &[old_root]].concat()).is_err());
        let at = byte.index(proof.len() * 32);
        let mut changed = proof.clone();
        let mut bytes = *changed[at / 32].as_bytes();
        bytes[at % 32] ^= 1 << bit;
        changed[at / 32] = Digest::from_bytes(bytes);
        prop_assert!(check(&changed).is_err());
    }

    #[test]
    fn no_sizes_and_no_proof_make_the_verifiers_panic(a in any::<u64>(), b in any::<u64>(), count in 0..=MAX_PROOF + 2) {
        let proof = leaves(count);
        let hash = Digest::of(b"x");
        prop_assert!(verify_inclusion(&hash, a, b, &proof, &empty_root()).is_err());
        let _ = verify_consistency(a, b, &proof, &hash, &hash);
        let _ = verify_consistency(a, u64::MAX, &proof, &hash, &hash);
    }
}
