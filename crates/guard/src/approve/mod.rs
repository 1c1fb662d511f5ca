//! A person's answers: endorsement, declassification, a wider plan, a changed pin.
