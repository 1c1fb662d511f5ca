#![doc = include_str!("../../../../docs/design/lineage.md")]

mod artifact;
mod claims;
mod compare;
mod copy;
mod edge;
mod graph;
mod inner;
mod layout;
mod record;
mod store;
mod svg;
mod tree;
mod weights;

pub(crate) use artifact::is_beside;
pub use artifact::{Artifact, ArtifactError, FileDigest, folder_digest};
pub use claims::{Claims, DataSet, Licence, Parent};
pub use compare::{
    CompareError, Comparison, Embeddings, Options, Sample, TensorComparison, TensorVerdict, Verdict, compare,
};
pub use copy::copied;
pub use edge::{Basis, Claim, Evidence, Lineage, LineageError, Method, Relation};
pub use graph::{Direction, Edge, Graph, Reached, Walk};
pub(crate) use inner::inner_folders;
pub use layout::Mark;
pub use record::{Record, RecordError, Signers};
pub use store::{Problem, Records, Store, StoreError};
pub use svg::svg;
pub use tree::{Charset, tree};
pub use weights::Weights;
