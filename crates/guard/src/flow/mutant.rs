//! Deliberate mistakes, one for each rule, that the tests must notice. Outside tests there is none.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    RevealedDoesNotJoin,
    ResultDoesNotJoin,
    ControlMayBeUntrusted,
    ArgumentsMayBeUntrusted,
    HandlesOfOthers,
    HandlesWithoutLabel,
    PlanValuesWithoutLabel,
    PlanForgetsItsSubmission,
    ResultWithoutInputs,
    ClaimsLoosen,
    ControlMayLeak,
    ArgumentsMayLeak,
    ServerReadsNothing,
    NamedReadersIgnored,
    ArgumentAudienceIgnored,
    EndorsesAnything,
    WritesForgotten,
    WritesUnderWayForgotten,
    MatchesTellNothing,
    RunsLeftOutAreClean,
    ChangedObjectTrusted,
    StopsIgnored,
    RevocationIgnored,
    CountsTellNothing,
    ClaimsEndorsed,
    RefusalsNumbered,
    FieldsForgotten,
    PlansReadAsStored,
    ClaimsTellNothing,
}

/// Whether this mistake is made.
#[cfg(not(test))]
pub(crate) const fn mutated(_: Mutant) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    static MADE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
pub(crate) fn mutated(mutant: Mutant) -> bool {
    MADE.get() == Some(mutant)
}

/// Runs `test` with the mistake being made in this thread.
#[cfg(test)]
pub(crate) fn with<T>(mutant: Mutant, test: impl FnOnce() -> T) -> T {
    MADE.set(Some(mutant));
    let result = test();
    MADE.set(None);
    result
}
