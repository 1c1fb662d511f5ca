//! Arguments of `ostrom peer`, `seal-key` and `open`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{NodeAddress, NodePlace};

/// `ostrom peer …`.
#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// Pull from a node from now on.
    #[command(after_help = "Its people make a token of the scope federate for you
on their node, and read their key to you:

  ostrom peer identity          # over there

Then, here:

  export OSTROM_PEER_TOKEN=ost_…
  ostrom peer add https://peer.example
  ostrom peer add https://peer.example --key peer.example/log+…")]
    Add(AddOptions),
    /// Show the nodes that this one pulls from.
    #[command(after_help = "Examples:\n  ostrom peer list\n  ostrom peer list --json")]
    List(ListOptions),
    /// Pull from a node no more. What came from it stays.
    #[command(after_help = "Example:\n  ostrom peer remove https://peer.example")]
    Remove(NamedOptions),
    /// Pull from a node now, or from all.
    #[command(after_help = "Examples:\n  ostrom peer sync\n  ostrom peer sync https://peer.example")]
    Sync(SyncPeerOptions),
    /// Pull again from a node that was distrusted or paused.
    #[command(after_help = "A node that broke a promise (its log was rewritten, say) is distrusted
until somebody has looked. `ostrom peer list` says what was wrong.

  ostrom peer trust https://peer.example")]
    Trust(NamedOptions),
    /// Stop pulling from a node for a while.
    #[command(
        after_help = "Example:\n  ostrom peer pause https://peer.example\n  ostrom peer trust https://peer.example    # go on"
    )]
    Pause(NamedOptions),
    /// Show this node's own key, to be read to others.
    #[command(after_help = "Example:\n  ostrom peer identity")]
    Identity(ListOptions),
}

/// Which node's data, and how to answer.
#[derive(Debug, Args)]
pub struct Here {
    #[command(flatten)]
    pub place: NodePlace,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// While no node runs: peers may lie in private networks.
    #[arg(long)]
    pub private_peers: bool,
}

/// `ostrom peer add`.
#[derive(Debug, Args)]
pub struct AddOptions {
    /// Where it is: https://peer.example
    pub url: String,
    /// Its key, as its people told you: not asked then.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// What to call it; by default as it calls itself.
    #[arg(long)]
    pub name: Option<String>,
    /// The environment variable with the token that it gave you.
    #[arg(long, default_value = "OSTROM_PEER_TOKEN", value_name = "NAME")]
    pub token_env: String,
    /// The member of this node that runs it, by its id.
    #[arg(long, value_name = "ID")]
    pub organisation: Option<String>,
    #[command(flatten)]
    pub here: Here,
}

/// `ostrom peer list` and `identity`.
#[derive(Debug, Args)]
pub struct ListOptions {
    #[command(flatten)]
    pub here: Here,
}

/// `ostrom peer remove`, `trust` and `pause`.
#[derive(Debug, Args)]
pub struct NamedOptions {
    /// Its URL, name or id.
    pub peer: String,
    #[command(flatten)]
    pub here: Here,
}

/// `ostrom peer sync`.
#[derive(Debug, Args)]
pub struct SyncPeerOptions {
    /// Its URL, name or id; all that are active if left out.
    pub peer: Option<String>,
    #[command(flatten)]
    pub here: Here,
}

/// `ostrom seal-key …`.
#[derive(Debug, Subcommand)]
pub enum SealKeyCommand {
    /// Make a key: others seal to it, and only its file opens that.
    #[command(after_help = "Examples:
  ostrom seal-key new seal.key               # prints what to give out
  ostrom seal-key new seal.key --register    # and gives it to your node

A person's own key is given out on the node's page Sealing keys; one given
with a token is the organisation's. Keep the file: without it nothing that
was sealed to the key can be read.")]
    New(NewSealKeyOptions),
    /// Show the keys that members of a node have given out.
    #[command(after_help = "Example:\n  ostrom seal-key list --node https://node.example")]
    List(SealKeyListOptions),
    /// Give out the key of a file, in your organisation's name.
    #[command(after_help = "Example:\n  ostrom seal-key register seal.key")]
    Register(RegisterOptions),
    /// Retire a key of your organisation: nothing is sealed to it any more.
    #[command(after_help = "Example:\n  ostrom seal-key retire 0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061")]
    Retire(RetireOptions),
}

/// `ostrom seal-key new`.
#[derive(Debug, Args)]
pub struct NewSealKeyOptions {
    /// The new file. Only you can read it.
    pub file: PathBuf,
    /// Give the public key to the node as well.
    #[arg(long)]
    pub register: bool,
    #[command(flatten)]
    pub giving: Giving,
}

/// How a key is given out.
#[derive(Debug, Args)]
pub struct Giving {
    /// What to call the key at the node; by default the file's name.
    #[arg(long)]
    pub label: Option<String>,
    #[command(flatten)]
    pub at: AtNode,
}

/// Which node, and how to answer.
#[derive(Debug, Args)]
pub struct AtNode {
    #[command(flatten)]
    pub node: NodeAddress,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom seal-key list`.
#[derive(Debug, Args)]
pub struct SealKeyListOptions {
    #[command(flatten)]
    pub at: AtNode,
}

/// `ostrom seal-key register`.
#[derive(Debug, Args)]
pub struct RegisterOptions {
    /// The key's file.
    pub file: PathBuf,
    #[command(flatten)]
    pub giving: Giving,
}

/// `ostrom seal-key retire`.
#[derive(Debug, Args)]
pub struct RetireOptions {
    /// Its id, as `ostrom seal-key list` has it.
    pub id: String,
    #[command(flatten)]
    pub at: AtNode,
}

/// `ostrom open`.
#[derive(Debug, Args)]
pub struct OpenOptions {
    /// The object's id at the node, or a file with it: what the page's Export gives as STIX.
    pub object: String,
    /// The file of the key that it is sealed to.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    #[command(flatten)]
    pub at: AtNode,
}
