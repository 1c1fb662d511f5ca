//! States for which classes call methods of what is in them, and what such a state may be.

use ostrom_core::Severity;

use super::{check, clean, critical, findings};
use crate::pickle::asm::Asm;
use crate::pickle::opcode as op;

/// `functools.partial(len)`, which does nothing bad: what counts is that the pickle has it called.
fn callable() -> Asm {
    let made =
        Asm::new().global("functools", "partial").global("builtins", "len").op(op::TUPLE1).op(op::REDUCE);
    let state =
        made.op(op::MARK).global("builtins", "len").op(op::EMPTY_TUPLE).op(op::EMPTY_DICT).op(op::NONE);
    state.op(op::TUPLE).op(op::BUILD)
}

/// An instance with these attributes.
fn object(module: &str, name: &str, attributes: &[(&str, Asm)]) -> Asm {
    Asm::new().global(module, name).new_object().raw(&dict(attributes).unfinished()).op(op::BUILD)
}

fn dict(items: &[(&str, Asm)]) -> Asm {
    items.iter().fold(Asm::new().op(op::EMPTY_DICT), |asm, (key, value)| {
        asm.text(key).raw(&value.clone().unfinished()).op(op::SETITEM)
    })
}

fn list(items: &[Asm]) -> Asm {
    let asm = Asm::new().op(op::EMPTY_LIST).op(op::MARK);
    items.iter().fold(asm, |asm, item| asm.raw(&item.clone().unfinished())).op(op::APPENDS)
}

/// Something with a method of this name, as far as Python is concerned.
fn with_method(name: &str) -> Asm {
    object("argparse", "Namespace", &[(name, callable())])
}

fn empty() -> Asm {
    Asm::new().op(op::EMPTY_DICT)
}

fn tensor() -> Asm {
    let storage = Asm::new().global("torch.storage", "_load_from_bytes").bytes(&inner()).op(op::TUPLE1);
    let storage = storage.op(op::REDUCE).int(0).op(op::EMPTY_TUPLE).op(op::EMPTY_TUPLE);
    let arguments = storage.op(op::NEWFALSE).global("collections", "OrderedDict").op(op::EMPTY_TUPLE);
    let arguments = arguments.op(op::REDUCE).op(op::TUPLE).unfinished();
    Asm::new().global("torch._utils", "_rebuild_tensor_v2").op(op::MARK).raw(&arguments).op(op::REDUCE)
}

/// A file of PyTorch before 1.6 that holds nothing.
fn inner() -> Vec<u8> {
    let magic =
        Asm::proto(2).raw(&[op::LONG1, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]);
    let parts = [
        magic.stop(),
        Asm::proto(2).int(1001).stop(),
        Asm::proto(2).op(op::EMPTY_DICT).stop(),
        Asm::proto(2).op(op::NONE).stop(),
        Asm::proto(2).op(op::EMPTY_LIST).stop(),
    ];
    parts.concat()
}

/// A parameter with an attribute.
fn parameter(attribute: &str, value: &Asm) -> Asm {
    let asm = Asm::new().global("torch._utils", "_rebuild_parameter_with_state").op(op::MARK);
    let asm = asm.raw(&tensor().unfinished()).op(op::NEWTRUE).op(op::NONE);
    asm.raw(&dict(&[(attribute, value.clone())]).unfinished()).op(op::TUPLE).op(op::REDUCE)
}

fn adam(state: Asm, groups: Asm, defaults: Asm) -> Asm {
    let attributes = [("defaults", defaults), ("state", state), ("param_groups", groups)];
    object("torch.optim.adam", "Adam", &attributes)
}

fn group(parameters: &[Asm]) -> Asm {
    dict(&[("params", list(parameters)), ("lr", Asm::new().op(op::BINFLOAT).raw(&[0; 8]))])
}

/// What `Adam` knows of its parameters, as `defaultdict(dict)`.
fn known(entries: &[(Asm, Asm)]) -> Asm {
    let made = Asm::new().global("collections", "defaultdict").global("builtins", "dict").op(op::TUPLE1);
    entries
        .iter()
        .fold(made.op(op::REDUCE).op(op::MARK), |asm, (key, value)| {
            asm.raw(&key.clone().unfinished()).raw(&value.clone().unfinished())
        })
        .op(op::SETITEMS)
}

fn pickle(asm: &Asm) -> Vec<u8> {
    Asm::proto(2).raw(&asm.clone().unfinished()).stop()
}

#[track_caller]
fn refused(asm: &Asm) {
    check(pickle(asm), &["pickle-state"]);
}

#[test]
fn optimisers_of_tensors_and_numbers_are_harmless() {
    let step = || dict(&[("step", tensor())]);
    clean(pickle(&adam(known(&[(tensor(), step())]), list(&[group(&[tensor()])]), empty())));
    clean(pickle(&adam(empty(), list(&[group(&[parameter("note", &Asm::new().text("x"))])]), empty())));
    // More parameters and groups than are kept of most dicts and lists.
    let parameters = vec![tensor(); 200];
    let entries: Vec<_> = parameters.iter().map(|one| (one.clone(), step())).collect();
    clean(pickle(&adam(known(&entries), list(&[group(&parameters)]), empty())));
    let groups: Vec<_> = parameters.iter().map(|one| group(std::slice::from_ref(one))).collect();
    clean(pickle(&adam(known(&[]), list(&groups), empty())));
}

#[test]
fn optimisers_call_no_method_that_a_pickle_chose() {
    let groups = || list(&[group(&[tensor()])]);
    refused(&adam(with_method("get"), groups(), empty()));
    refused(&adam(empty(), list(&[with_method("setdefault")]), empty()));
    refused(&adam(empty(), list(&[]), with_method("setdefault")));
    refused(&adam(empty(), with_method("__iter__"), empty()));
    refused(&adam(known(&[(tensor(), with_method("x"))]), groups(), empty()));
    refused(&adam(empty(), list(&[group(&[parameter("get", &callable())])]), empty()));
    let patched = [("defaults", empty()), ("param_groups", list(&[])), ("_patch_step_function", callable())];
    refused(&object("torch.optim.sgd", "SGD", &patched));
    let ordered = Asm::new().global("collections", "OrderedDict").op(op::EMPTY_TUPLE).op(op::REDUCE);
    let ordered = ordered.raw(&dict(&[("get", callable())]).unfinished()).op(op::BUILD);
    refused(&adam(ordered, groups(), empty()));
}

#[test]
fn what_is_out_of_sight_is_no_plain_state() {
    let mut groups = vec![group(&[tensor()]); 200];
    groups.push(with_method("setdefault"));
    refused(&adam(empty(), list(&groups), empty()));
    let mut parameters = vec![tensor(); 200];
    parameters.push(with_method("device"));
    check(pickle(&adam(empty(), list(&[group(&parameters)]), empty())), &["pickle-undecided"]);
    let mut entries = vec![(tensor(), dict(&[("step", tensor())])); 200];
    entries.push((tensor(), with_method("x")));
    refused(&adam(known(&entries), list(&[group(&[tensor()])]), empty()));
    // The group is let go, and then given what it had not.
    let junk: Vec<u8> = (0..200_000).flat_map(|_| [op::EMPTY_LIST, op::POP]).collect();
    let group = group(&[tensor()]).raw(&[op::BINPUT, 7]).raw(&junk);
    let later = group.raw(&[op::BINGET, 7]).text("params").raw(&list(&[with_method("device")]).unfinished());
    let asm = adam(empty(), list(&[later.op(op::SETITEM).op(op::POP)]), empty());
    check(pickle(&asm), &["pickle-undecided"]);
}

#[test]
fn modules_look_names_up_in_dicts_only() {
    let module = |name: &str, parameters: Asm| {
        let attributes = [("_parameters", parameters), ("_buffers", empty()), ("_modules", empty())];
        object("torch.nn.modules.conv", name, &attributes)
    };
    clean(pickle(&module("Conv2d", empty())));
    let ordered = Asm::new().global("collections", "OrderedDict").op(op::EMPTY_TUPLE).op(op::REDUCE);
    clean(pickle(&module("Conv2d", ordered)));
    // `name in parameters` asks a `Sequential` for its modules' `values`.
    let sequential = [("_modules", with_method("values"))];
    refused(&module("Conv2d", object("torch.nn.modules.container", "Sequential", &sequential)));
    let lstm = |weights: Asm| object("torch.nn.modules.rnn", "LSTM", &[("_all_weights", weights)]);
    clean(pickle(&lstm(list(&[list(&[Asm::new().text("weight_ih_l0")])]))));
    refused(&lstm(object("torch.nn.modules.container", "Sequential", &[])));
}

#[test]
fn estimators_and_frames_call_no_method_that_a_pickle_chose() {
    let linear = |version: Asm| {
        object("sklearn.linear_model._base", "LinearRegression", &[("_sklearn_version", version)])
    };
    clean(pickle(&linear(Asm::new().text("1.9.1"))));
    // A warning shows the version.
    refused(&linear(object("torch.nn.modules.module", "Module", &[("extra_repr", callable())])));
    refused(&object("sklearn.isotonic", "IsotonicRegression", &[("_build_f", callable())]));
    let predictor = ("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor");
    refused(&object(predictor.0, predictor.1, &[("nodes", with_method("astype"))]));
    let frame = |flags: Asm| object("pandas.core.frame", "DataFrame", &[("_flags", flags)]);
    clean(pickle(&frame(dict(&[("allows_duplicate_labels", Asm::new().op(op::NEWTRUE))]))));
    refused(&frame(with_method("keys")));
}

#[test]
fn distributions_are_data() {
    let size = || Asm::new().global("torch", "Size").op(op::EMPTY_TUPLE).op(op::TUPLE1).op(op::REDUCE);
    let normal = |location: Asm| {
        let attributes =
            [("loc", location), ("scale", tensor()), ("_batch_shape", size()), ("_event_shape", size())];
        object("torch.distributions.normal", "Normal", &attributes)
    };
    clean(pickle(&normal(tensor())));
    let transform =
        object("torch.distributions.transforms", "ExpTransform", &[("_inv", Asm::new().op(op::NONE))]);
    let attributes = [("base_dist", normal(tensor())), ("transforms", list(&[transform]))];
    clean(pickle(&object(
        "torch.distributions.transformed_distribution",
        "TransformedDistribution",
        &attributes,
    )));
    // The same with one thing that is none: a call, another class, a name of Python's own, a call of the class itself.
    let evil = Asm::new().global("os", "system").call1("id");
    critical(pickle(&normal(evil)), &["os.system", "id"]);
    refused(&object("torch.distributions.normal", "Normal", &[("__class__", tensor())]));
    for (module, name) in [
        ("torch.distributions.constraints", "_DependentProperty"),
        ("torch.distributions.constraint_registry", "ConstraintRegistry"),
        ("torch.distributions.kl", "_Match"),
        ("torch.distributions.utils", "lazy_property"),
        ("torch.distributions.normal", "torch.load"),
    ] {
        let found = findings(pickle(&object(module, name, &[])));
        assert!(
            found.iter().any(|finding| finding.severity >= Severity::High),
            "{module}.{name}: {found:#?}"
        );
    }
    let called = Asm::new().global("torch.distributions.normal", "Normal").raw(&tensor().unfinished());
    check(pickle(&called.op(op::TUPLE1).op(op::REDUCE)), &["pickle-arguments"]);
}

#[test]
fn states_within_states_are_held_to_the_same() {
    let shape = Asm::new().int(1).op(op::TUPLE1);
    let sparse = |dtype: Asm| {
        let array = Asm::new().op(op::MARK).int(1).raw(&shape.clone().unfinished()).raw(&dtype.unfinished());
        let array = array.op(op::NEWFALSE).bytes(&[0; 8]).op(op::TUPLE).int(0).op(op::NONE).op(op::TUPLE2);
        let class = Asm::new().global("pandas.core.arrays.sparse.array", "SparseArray").new_object();
        pickle(&class.raw(&array.unfinished()).op(op::TUPLE2).op(op::BUILD))
    };
    let bare = |code: &str| {
        let asm =
            Asm::new().global("numpy", "dtype").text(code).op(op::NEWFALSE).op(op::NEWTRUE).op(op::TUPLE3);
        asm.op(op::REDUCE)
    };
    let whole = bare("f8").op(op::MARK).int(3).text("<").op(op::NONE).op(op::NONE).op(op::NONE);
    clean(sparse(whole.int(-1).int(-1).int(0).op(op::TUPLE).op(op::BUILD)));
    // One that could be given a state yet.
    check(sparse(bare("O8")), &["pickle-undecided"]);
    let rotation = |first: Asm| {
        let class = Asm::new().global("scipy.spatial.transform._rotation", "Rotation").new_object();
        class.raw(&first.unfinished()).op(op::NEWFALSE).op(op::TUPLE2).op(op::BUILD)
    };
    clean(pickle(&rotation(tensor())));
    let modules = dict(&[("__array_namespace__", object("torch.nn.modules.module", "Module", &[]))]);
    refused(&rotation(object("torch.nn.modules.module", "Module", &[("_modules", modules)])));
}
