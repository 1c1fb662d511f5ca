//! PyTorch's use of zip: which archives are its, and which of their members are raw storages.

use std::collections::BTreeSet;

use crate::pickle::Mode;

/// The folders in an archive that PyTorch would load from: usually one, at the top.
#[derive(Default)]
pub(super) struct PyTorch {
    tops: BTreeSet<Vec<u8>>,
    /// The folders that are `torch.package`s.
    packages: BTreeSet<Vec<u8>>,
    /// The folders that `torch.export` wrote.
    exports: BTreeSet<Vec<u8>>,
    /// The folders that TorchScript is loaded from.
    scripts: BTreeSet<Vec<u8>>,
}

impl PyTorch {
    /// Looks through the members' names.
    pub(super) fn recognise<'a>(names: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let tops_of = |last: &[u8]| -> BTreeSet<Vec<u8>> {
            names
                .clone()
                .filter_map(|name| name.strip_suffix(last))
                .filter(|top| top.is_empty() || top.ends_with(b"/"))
                .map(<[u8]>::to_vec)
                .collect()
        };
        let versions = &tops_of(b"version") | &(&tops_of(b".data/version") | &tops_of(b".format_version"));
        let tops = &(&tops_of(b"data.pkl") | &tops_of(b"constants.pkl")) & &versions;
        // `torch.load` takes an archive for TorchScript where constants are, and unpickles all others with Python. So does
        // `PackageImporter` whatever it is asked for; PyTorch finds its records whatever the case of their names.
        let constants = tops_of(b"constants.pkl");
        let imported = |name: &[u8]| {
            let mark = b".data/extern_modules";
            name.len()
                .checked_sub(mark.len())
                .is_some_and(|at| name.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(mark)))
        };
        let is_package = names.clone().any(imported);
        let is_script = |top: &&Vec<u8>| {
            let code = [top.as_slice(), b"code/"].concat();
            !is_package && constants.contains(*top) && names.clone().any(|name| name.starts_with(&code))
        };
        let scripts = tops.iter().filter(is_script).cloned().collect();
        let packages = &tops_of(b".data/extern_modules") & &tops_of(b".data/version");
        let exports = &tops_of(b"archive_format") & &tops_of(b"models/model.json");
        Self { tops, packages, exports, scripts }
    }

    /// Whether there is TorchScript.
    pub(super) fn is_script(&self) -> bool {
        !self.scripts.is_empty()
    }

    /// Whether the archive is PyTorch's.
    pub(super) fn is_any(&self) -> bool {
        !self.tops.is_empty() || !self.packages.is_empty()
    }

    /// Whether a member may be the raw bytes of a weight of `torch.export`'s. It is examined, for the configuration beside it can
    /// have it unpickled; that it is in no format says nothing.
    pub(super) fn is_export(&self, name: &[u8]) -> bool {
        let Some(slash) = name.iter().rposition(|byte| *byte == b'/') else { return false };
        let (folder, last) = name.split_at(slash);
        let kinds = [(&b"data/weights"[..], &b"/weight_"[..]), (b"data/constants", b"/tensor_")];
        kinds.iter().any(|(kind, start)| {
            folder.strip_suffix(*kind).is_some_and(|top| self.exports.contains(top))
                && last
                    .strip_prefix(*start)
                    .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
        })
    }

    /// Whether a member is the raw bytes of a storage: `data/0`, `constants/3`, `constants/3.storage` (for phones),
    /// `.data/7.storage`. The weights of `torch.export` are not among them ([`PyTorch::is_export`]).
    ///
    /// PyTorch copies such a member into a tensor's memory, whatever it holds; it hands only `*.pkl` to an unpickler and
    /// only what lies in `code/` to a compiler. No other loader finds it by name: Keras, numpy and scikit-learn ask
    /// for names of their own, and Python imports only names that end in `.py` or `.so`. So what random weights happen
    /// to look like says nothing, and [`looks_loadable`] catches the readers that go by content (`numpy.load`).
    pub(super) fn is_storage(&self, name: &[u8]) -> bool {
        let Some(slash) = name.iter().rposition(|byte| *byte == b'/') else { return false };
        let (folder, number) = name.split_at(slash);
        let number = number.get(1..).unwrap_or_default();
        let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let lies_in = |tops: &BTreeSet<Vec<u8>>, kind: &[u8]| {
            folder.strip_suffix(kind).is_some_and(|top| tops.contains(top))
        };
        match number.strip_suffix(b".storage") {
            Some(number) => {
                is_number(number) && (lies_in(&self.packages, b".data") || lies_in(&self.tops, b"constants"))
            }
            None => {
                is_number(number)
                    && [&b"data"[..], b"constants", b"tensors"].iter().any(|kind| lies_in(&self.tops, kind))
            }
        }
    }
}

impl PyTorch {
    /// How PyTorch unpickles a member, if it does: whatever is called `*.pkl` in the folder that it loads from.
    pub(super) fn unpickles(&self, name: &[u8]) -> Option<Mode> {
        let is_inside = |top: &Vec<u8>| name.starts_with(top);
        let inside = self.tops.iter().any(is_inside) || self.packages.iter().any(is_inside);
        let of_script =
            |top: &Vec<u8>| name.strip_prefix(top.as_slice()).is_some_and(|rest| !rest.contains(&b'/'));
        (inside && name.ends_with(b".pkl")).then_some(if self.scripts.iter().any(of_script) {
            Mode::TorchScript
        } else {
            Mode::Torch
        })
    }
}

/// Whether a storage begins with a mark long enough that weights do not have it by chance.
pub(super) fn looks_loadable(head: &[u8]) -> bool {
    head.starts_with(b"\x93NUMPY") || head.starts_with(b"PK\x03\x04")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognise(names: &[&str]) -> PyTorch {
        PyTorch::recognise(names.iter().map(|name| name.as_bytes()))
    }

    #[test]
    fn storages_are_exempt_only_in_pytorch_archives() {
        let names = ["m/data.pkl", "m/version", "m/data/0", "m/data/0.pkl", "m/sub/data/0", "data/1"];
        let torch = recognise(&names);
        assert!(torch.is_any() && !torch.is_script());
        let storages: Vec<_> = names.iter().filter(|name| torch.is_storage(name.as_bytes())).collect();
        assert_eq!(storages, [&"m/data/0"]);
        let other = recognise(&["m/data.pkl", "m/data/0"]);
        assert!(!other.is_any() && !other.is_storage(b"m/data/0"));
    }

    #[test]
    fn storages_of_packages_are_exempt() {
        let torch =
            recognise(&["p/.data/extern_modules", "p/.data/version", "p/.data/0.storage", "p/a/0.storage"]);
        assert!(torch.is_any());
        assert!(torch.is_storage(b"p/.data/0.storage") && !torch.is_storage(b"p/a/0.storage"));
        assert!(!torch.is_storage(b"p/.data/x.storage") && !torch.is_storage(b"p/data/0"));
    }

    #[test]
    fn weights_of_exports_are_known_and_not_exempt() {
        let names = [
            "m/archive_format",
            "m/models/model.json",
            "m/data/weights/weight_0",
            "m/data/constants/tensor_3",
        ];
        let torch = recognise(&names);
        for name in &names[2..] {
            assert!(torch.is_export(name.as_bytes()) && !torch.is_storage(name.as_bytes()), "{name}");
        }
        for name in [
            "m/data/weights/weight_",
            "m/data/weights/x",
            "n/data/weights/weight_0",
            "m/data/constants/weight_0",
        ] {
            assert!(!torch.is_export(name.as_bytes()), "{name}");
        }
        assert!(!recognise(&names[1..]).is_export(names[2].as_bytes()));
        let phone = recognise(&["m/data.pkl", "m/version", "m/constants/0.storage"]);
        assert!(phone.is_storage(b"m/constants/0.storage") && !phone.is_storage(b"m/data/0.storage"));
    }

    #[test]
    fn torchscript_is_told_by_its_code_and_constants() {
        let names = ["m/data.pkl", "m/version", "m/constants.pkl", "m/code/__torch__.py", "m/x/y.pkl"];
        let script = recognise(&names);
        assert!(script.is_script());
        for name in ["m/data.pkl", "m/constants.pkl", "m/bytecode.pkl"] {
            assert_eq!(script.unpickles(name.as_bytes()), Some(Mode::TorchScript), "{name}");
        }
        assert_eq!(script.unpickles(b"m/x/y.pkl"), Some(Mode::Torch));
        assert_eq!(script.unpickles(b"n/x.pkl"), None);
        assert!(!recognise(&["m/data.pkl", "m/version", "other/code/x.py"]).is_script());
        // Python unpickles what has no constants, and all of a package.
        let without = ["m/data.pkl", "m/version", "m/code/__torch__.py"];
        for more in ["m/CONSTANTS.pkl", "m/constants.pkl/x"] {
            let names: Vec<&str> = without.into_iter().chain([more]).collect();
            assert_eq!(recognise(&names).unpickles(b"m/data.pkl"), Some(Mode::Torch), "{more}");
        }
        for mark in ["m/.data/extern_modules", "p/.data/extern_modules", "m/.DATA/Extern_Modules"] {
            let package = recognise(&names.into_iter().chain([mark]).collect::<Vec<_>>());
            assert_eq!(package.unpickles(b"m/data.pkl"), Some(Mode::Torch), "{mark}");
            assert!(!package.is_script());
        }
    }
}
