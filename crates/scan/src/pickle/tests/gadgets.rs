//! What runs something, by each way of calling.

use ostrom_core::Severity;

use super::{check, critical, findings};
use crate::pickle::asm::Asm;
use crate::pickle::opcode as op;

/// One callable of each class that standard library and frameworks offer.
const GADGETS: &[(&str, &str)] = &[
    ("os", "system"),
    ("os", "popen"),
    ("posix", "system"),
    ("nt", "system"),
    ("subprocess", "Popen"),
    ("subprocess", "check_output"),
    ("pty", "spawn"),
    ("commands", "getoutput"),
    ("platform", "popen"),
    ("webbrowser", "open"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("__builtin__", "eval"),
    ("__builtin__", "execfile"),
    ("builtins", "compile"),
    ("builtins", "__import__"),
    ("builtins", "open"),
    ("builtins", "setattr"),
    ("builtins", "map"),
    ("builtins", "globals"),
    ("importlib", "import_module"),
    ("importlib._bootstrap", "_load"),
    ("pkgutil", "resolve_name"),
    ("runpy", "run_path"),
    ("runpy", "_run_code"),
    ("code", "interact"),
    ("code", "InteractiveInterpreter.runcode"),
    ("codeop", "compile_command"),
    ("bdb", "Bdb.run"),
    ("pdb", "run"),
    ("cProfile", "run"),
    ("profile", "Profile.run"),
    ("timeit", "timeit"),
    ("trace", "Trace.run"),
    ("doctest", "debug_script"),
    ("pydoc", "pipepager"),
    ("idlelib.autocomplete", "AutoComplete.get_entity"),
    ("lib2to3.pgen2.grammar", "Grammar.loads"),
    ("distutils.file_util", "write_file"),
    ("ensurepip", "_run_pip"),
    ("venv", "create"),
    ("pip", "main"),
    ("zipimport", "zipimporter"),
    ("socket", "create_connection"),
    ("ctypes", "CDLL"),
    ("shutil", "rmtree"),
    ("tempfile", "NamedTemporaryFile"),
    ("urllib.request", "urlopen"),
    ("http.client", "HTTPSConnection"),
    ("ftplib", "FTP"),
    ("smtplib", "SMTP"),
    ("requests", "get"),
    ("requests.api", "get"),
    ("asyncio.unix_events", "_UnixSubprocessTransport._start"),
    ("multiprocessing.util", "spawnv_passfds"),
    ("sys", "setprofile"),
    ("types", "CodeType"),
    ("types", "FunctionType"),
    ("marshal", "loads"),
    ("pickle", "loads"),
    ("_pickle", "loads"),
    ("dill", "loads"),
    ("operator", "attrgetter"),
    ("operator", "methodcaller"),
    ("functools", "reduce"),
    ("itertools", "starmap"),
    ("logging.config", "listen"),
    ("sqlite3", "connect"),
    ("unittest.mock", "_importer"),
    ("threading", "Thread"),
    ("atexit", "register"),
    ("copyreg", "add_extension"),
    ("torch", "load"),
    ("torch.serialization", "load"),
    ("torch.hub", "load"),
    ("torch.jit", "load"),
    ("torch.utils.bottleneck.__main__", "run_cprofile"),
    ("torch._inductor.codecache", "compile_file"),
    ("torch.fx.graph_module", "reduce_graph_module"),
    ("torch.distributed.rpc.internal", "_internal_rpc_pickler"),
    ("numpy", "load"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy.f2py.crackfortran", "getlincoef"),
    ("pandas", "read_pickle"),
    ("pandas.core.computation.eval", "eval"),
    ("joblib", "load"),
    ("joblib.parallel", "Parallel"),
    ("transformers.dynamic_module_utils", "get_class_from_dynamic_module"),
];

/// The same call, by each opcode that calls.
fn calls(module: &str, name: &str) -> Vec<Vec<u8>> {
    vec![
        Asm::proto(2).global(module, name).call1("x").stop(),
        Asm::proto(4).stack_global(module, name).call1("x").stop(),
        Asm::new().op(op::MARK).text("x").op(op::INST).raw(format!("{module}\n{name}\n").as_bytes()).stop(),
        Asm::new().op(op::MARK).global(module, name).text("x").op(op::OBJ).stop(),
        Asm::proto(2).global(module, name).text("x").op(op::TUPLE1).op(op::NEWOBJ).stop(),
        Asm::proto(4)
            .stack_global(module, name)
            .text("x")
            .op(op::TUPLE1)
            .op(op::EMPTY_DICT)
            .text("shell")
            .op(op::NEWTRUE)
            .op(op::SETITEM)
            .op(op::NEWOBJ_EX)
            .stop(),
    ]
}

#[test]
fn every_gadget_is_found_however_it_is_called() {
    for (module, name) in GADGETS {
        for bytes in calls(module, name) {
            let module = module.replace("__builtin__", "builtin");
            critical(bytes, &[module.trim_matches('_'), name, "\"x\""]);
        }
    }
}

#[test]
fn a_finding_names_call_arguments_and_both_places() {
    let findings = findings(Asm::proto(4).int(1).stack_global("os", "system").call1("id").stop());
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert_eq!(finding.rule.as_str(), "pickle-dangerous-call");
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!(finding.offset, Some(28));
    assert_eq!(
        finding.message,
        "loading calls os.system(\"id\"), which runs commands or opens whatever the attacker names; it is imported at byte 19"
    );
}

#[test]
fn what_no_list_has_is_denied() {
    for (module, name) in [
        ("some_package.thing", "make"),
        ("sklearn.svm", "Evil"),
        ("torch", "manual_seed"),
        ("numpy", "vander"),
    ] {
        check(Asm::proto(2).global(module, name).call1("x").stop(), &["pickle-unlisted-callable"]);
        check(Asm::proto(2).global(module, name).new_object().stop(), &["pickle-unlisted-callable"]);
    }
}

#[test]
fn classes_of_main_need_code_from_elsewhere() {
    check(Asm::proto(2).global("__main__", "Net").new_object().stop(), &["pickle-main"]);
    check(Asm::proto(2).global("__main__", "Net").stop(), &["pickle-main"]);
}

#[test]
fn an_import_alone_is_a_finding() {
    let severity = |module: &str, name: &str| {
        let findings = findings(Asm::proto(2).global(module, name).stop());
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert_eq!(findings[0].rule.as_str(), "pickle-import");
        findings[0].severity
    };
    assert_eq!(severity("os", "system"), Severity::High);
    assert_eq!(severity("antigravity", "x"), Severity::High);
    assert_eq!(severity("some_package", "Thing"), Severity::High);
    assert_eq!(severity("torch.nn.modules.linear", "NewLinear"), Severity::Medium);
    assert_eq!(severity("torch", "new_function"), Severity::High);
}

#[test]
fn listed_callables_take_only_the_arguments_of_honest_files() {
    let misuse = |asm: Asm| check(asm.op(op::REDUCE).stop(), &["pickle-arguments"]);
    let call = |module: &str, name: &str| Asm::proto(4).stack_global(module, name);
    misuse(call("_codecs", "encode").text("x").text("rot13").op(op::TUPLE2));
    misuse(call("builtins", "getattr").global("builtins", "object").text("mro").op(op::TUPLE2));
    misuse(call("builtins", "type").text("T").op(op::EMPTY_TUPLE).op(op::EMPTY_DICT).op(op::TUPLE3));
    misuse(
        call("numpy.core.multiarray", "_reconstruct")
            .global("numpy", "float64")
            .int(0)
            .op(op::TUPLE1)
            .bytes(b"b")
            .op(op::TUPLE3),
    );
    misuse(call("numpy.core", "_ufunc_reconstruct").text("os").text("system").op(op::TUPLE2));
    misuse(call("torch._utils", "_rebuild_tensor").int(1).op(op::TUPLE1));
    misuse(call("collections", "OrderedDict").text("x").op(op::TUPLE1));
    misuse(
        call("numpy.random._pickle", "__generator_ctor").text("x").global("builtins", "set").op(op::TUPLE2),
    );
    misuse(call("functools", "partial").text("x").op(op::TUPLE1));
}

#[test]
fn helpers_that_import_are_followed() {
    let import = |name: &str| {
        Asm::proto(4)
            .stack_global("numpy.core", "_ufunc_reconstruct")
            .text("numpy")
            .text(name)
            .op(op::TUPLE2)
            .op(op::REDUCE)
    };
    check(import("log1p").stop(), &[]);
    critical(import("load").call1("x.npy").stop(), &["numpy.load", "x.npy"]);
}

#[test]
fn helpers_that_call_are_followed() {
    let apply = |func: Asm| {
        let asm = Asm::proto(2)
            .global("torch._tensor", "_rebuild_from_type_v2")
            .op(op::MARK)
            .raw(&func.unfinished());
        asm.global("torch", "Tensor")
            .text("id")
            .op(op::TUPLE1)
            .op(op::NONE)
            .op(op::TUPLE)
            .op(op::REDUCE)
            .stop()
    };
    critical(apply(Asm::new().global("os", "system")), &["_rebuild_from_type_v2", "os.system"]);
    check(apply(Asm::new().global("torch._utils", "_rebuild_tensor")), &["pickle-arguments"]);
    let newobj =
        Asm::proto(2).global("copyreg", "__newobj__").global("subprocess", "Popen").text("id").op(op::TUPLE2);
    critical(newobj.op(op::REDUCE).stop(), &["subprocess.Popen", "id"]);
    let reconstructor =
        Asm::new().global("copy_reg", "_reconstructor").op(op::MARK).global("subprocess", "Popen");
    let reconstructor =
        reconstructor.global("__builtin__", "object").op(op::NONE).op(op::TUPLE).op(op::REDUCE);
    critical(reconstructor.stop(), &["subprocess.Popen"]);
}

#[test]
fn what_is_made_while_loading_is_not_called() {
    let partial =
        Asm::proto(2).global("functools", "partial").global("builtins", "len").op(op::TUPLE1).op(op::REDUCE);
    check(partial.call1("x").stop(), &["pickle-indirect-call"]);
    check(Asm::proto(2).text("os.system").call1("id").stop(), &["malformed"]);
}

#[test]
fn states_do_not_reach_modules_classes_or_methods() {
    let state =
        |key: &str| Asm::new().op(op::EMPTY_DICT).text(key).text("x").op(op::SETITEM).op(op::BUILD).stop();
    let patched =
        |module: &str, name: &str| [Asm::proto(2).global(module, name).unfinished(), state("load")].concat();
    check(patched("uuid", "UUID"), &["pickle-patch"]);
    critical(patched("torch", "_utils"), &["torch._utils", "load"]);
    let object = || Asm::proto(2).global("argparse", "Namespace").new_object().unfinished();
    check([object(), state("load")].concat(), &[]);
    check([object(), state("__setstate__")].concat(), &["pickle-state"]);
    check([object(), state("__class__")].concat(), &["pickle-state"]);
    let slots =
        Asm::new().op(op::NONE).op(op::EMPTY_DICT).text("__class__").int(1).op(op::SETITEM).op(op::TUPLE2);
    check([object(), slots.op(op::BUILD).stop()].concat(), &["pickle-state"]);
    let escaped =
        Asm::new().op(op::EMPTY_DICT).line(op::UNICODE, r"\u005f\u005fclass__").int(1).op(op::SETITEM);
    check([object(), escaped.op(op::BUILD).stop()].concat(), &["pickle-state"]);
    let append = Asm::new().text("x").op(op::APPEND).stop();
    check([object(), append.clone()].concat(), &["pickle-state"]);
    check(
        [Asm::proto(2).global("torch", "_utils").unfinished(), append].concat(),
        &["pickle-import", "pickle-patch"],
    );
}

#[test]
fn pickles_within_pickles_are_examined() {
    let inner = Asm::proto(2).global("os", "system").call1("id").stop();
    let outer = |module: &str, name: &str| {
        Asm::proto(4).stack_global(module, name).bytes(&inner).op(op::TUPLE1).op(op::REDUCE).stop()
    };
    critical(outer("pickle", "loads"), &["pickle.loads"]);
    for (module, name) in [("pickle", "loads"), ("torch.storage", "_load_from_bytes")] {
        let findings = findings(outer(module, name));
        let inner = findings.iter().find(|finding| finding.message.contains("os.system")).unwrap();
        assert!(inner.place.starts_with("model.pkl!bytes at "), "{inner:#?}");
    }
}

#[test]
fn pickles_within_pickles_of_old_protocols_are_examined() {
    let inner = Asm::proto(2).global("os", "system").call1("id").stop();
    let text: String = inner.iter().map(|byte| char::from(*byte)).collect();
    let bytes =
        Asm::new().global("_codecs", "encode").text(&text).text("latin1").op(op::TUPLE2).op(op::REDUCE);
    let outer =
        Asm::proto(2).global("torch.storage", "_load_from_bytes").raw(&bytes.unfinished()).op(op::TUPLE1);
    critical(outer.op(op::REDUCE).stop(), &["os.system(\"id\")"]);
}

#[test]
fn helpers_are_not_kept_for_later() {
    let load = || Asm::proto(2).global("torch.storage", "_load_from_bytes");
    check(load().op(op::TUPLE1).stop(), &["pickle-state"]);
    check(
        Asm::proto(2).op(op::EMPTY_LIST).raw(&load().unfinished()[2..]).op(op::APPEND).stop(),
        &["pickle-state"],
    );
    let partial = Asm::proto(2).global("functools", "partial").raw(&load().unfinished()[2..]).op(op::TUPLE1);
    check(partial.op(op::REDUCE).stop(), &["pickle-arguments", "pickle-state"]);
    let partial = Asm::proto(2)
        .global("functools", "partial")
        .global("torch.nn.modules.linear", "Linear")
        .op(op::TUPLE1);
    check(partial.op(op::REDUCE).stop(), &[]);
}
