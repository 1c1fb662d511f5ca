//! The marking definitions of the Traffic Light Protocol, whose ids are the same everywhere.

use ostrom_core::handling::Tlp;
use ostrom_core::{ObjectId, Uuid};

/// The extension of the OASIS committee that carries TLP 2.0.
const TLP_2: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";

/// TLP 2.0 as the OASIS committee published it, from the most open to the strictest.
const VERSION_2: [(Tlp, Uuid); 5] = [
    (Tlp::Clear, Uuid::from_u128(0x9486_8c89_83c2_464b_929b_a1a8_aa3c_8487)),
    (Tlp::Green, Uuid::from_u128(0xbab4_a63c_aed9_4cf5_a766_dfca_5aba_c2bb)),
    (Tlp::Amber, Uuid::from_u128(0x55d9_20b0_5e8b_4f79_9ee9_91f8_68d9_b421)),
    (Tlp::AmberStrict, Uuid::from_u128(0x939a_9414_2ddd_4d32_a0cd_375e_a402_b003)),
    (Tlp::Red, Uuid::from_u128(0xe828_b379_4e03_4974_9ac4_e53a_884c_97c1)),
];

/// TLP 1.0, in section 7.2.1.4 of STIX 2.1. Its AMBER did not reach clients only "as needed": it is read as TLP 2.0's AMBER.
const VERSION_1: [(Tlp, Uuid); 4] = [
    (Tlp::Clear, Uuid::from_u128(0x613f_2e26_407d_48c7_9eca_b8e9_1df9_9dc9)),
    (Tlp::Green, Uuid::from_u128(0x3409_8fce_860f_48ae_8e50_ebd3_cc5e_41da)),
    (Tlp::Amber, Uuid::from_u128(0xf88d_31f6_486f_44da_b317_0133_3bde_0b82)),
    (Tlp::Red, Uuid::from_u128(0x5e57_c739_391a_4eb3_b6be_7d15_ca92_d5ed)),
];

/// The mark that this id stands for.
pub fn of(id: &ObjectId) -> Option<Tlp> {
    if id.kind() != "marking-definition" {
        return None;
    }
    let uuid = id.uuid();
    VERSION_2.iter().chain(&VERSION_1).find(|(_, known)| *known == uuid).map(|(tlp, _)| *tlp)
}

/// The id of the mark in TLP 2.0.
pub fn id(tlp: Tlp) -> ObjectId {
    let uuid = VERSION_2.iter().find(|(known, _)| *known == tlp).map_or(Uuid::nil(), |(_, uuid)| *uuid);
    // INVARIANT: the type's name is one.
    ObjectId::new("marking-definition", uuid).unwrap_or_else(|_| unreachable!("a type's name"))
}

/// The marking definition of TLP 2.0, for bundles that carry their own.
pub fn definition(tlp: Tlp) -> serde_json::Value {
    serde_json::json!({
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": id(tlp),
        "created": "2022-10-01T00:00:00.000Z",
        "name": tlp.label(),
        "extensions": { TLP_2: { "extension_type": "property-extension", "tlp_2_0": tlp.name() } },
    })
}
