"""What scikit-learn, joblib, numpy, pandas, scipy, boosting libraries, ONNX, Keras, TensorFlow, skops and gguf save. Run by real.py."""

from __future__ import annotations

import datetime
import gzip
import json
import pickle
import sys
import zoneinfo
from pathlib import Path

sys.dont_write_bytecode = True

import numpy as np

from making import maker, run

RANDOM = np.random.default_rng(1)
X = RANDOM.random((40, 5))
Y = (X.sum(axis=1) > 2.5).astype(int)
Z = X @ np.arange(5.0)
TEXTS = ["the model is good", "import os is text", "weights and biases", "a bad model"] * 5
LABELS = [1, 0, 1, 0] * 5


def estimators() -> dict[str, object]:
    """Fitted ones."""
    from sklearn import cluster, decomposition, ensemble, gaussian_process, isotonic, linear_model, naive_bayes, neighbors
    from sklearn import neural_network, preprocessing, svm, tree
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
    from sklearn.feature_selection import SelectKBest, f_classif
    from sklearn.impute import SimpleImputer
    from sklearn.mixture import GaussianMixture
    from sklearn.model_selection import GridSearchCV
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import FeatureUnion, make_pipeline

    columns = ColumnTransformer([("scale", preprocessing.StandardScaler(), [0, 1]), ("bin", preprocessing.KBinsDiscretizer(3), [2])])
    plain = {
        "linear": linear_model.LinearRegression(), "ridge": linear_model.RidgeCV(), "lasso": linear_model.Lasso(), "logistic": linear_model.LogisticRegression(),
        "sgd": linear_model.SGDClassifier(), "sgd-huber": linear_model.SGDRegressor(loss="huber"), "perceptron": linear_model.Perceptron(),
        "bayes": naive_bayes.GaussianNB(), "tree": tree.DecisionTreeClassifier(), "forest": ensemble.RandomForestClassifier(5),
        "extra-trees": ensemble.ExtraTreesRegressor(4), "boosting": ensemble.GradientBoostingClassifier(n_estimators=4),
        "hist-boosting": ensemble.HistGradientBoostingClassifier(max_iter=4), "hist-regressor": ensemble.HistGradientBoostingRegressor(max_iter=4),
        "ada": ensemble.AdaBoostClassifier(n_estimators=3), "bagging": ensemble.BaggingClassifier(n_estimators=3), "isolation": ensemble.IsolationForest(n_estimators=4),
        "voting": ensemble.VotingClassifier([("a", tree.DecisionTreeClassifier()), ("b", svm.SVC())]),
        "stacking": ensemble.StackingClassifier([("a", tree.DecisionTreeClassifier()), ("b", naive_bayes.GaussianNB())]),
        "svc": svm.SVC(probability=False), "linear-svc": svm.LinearSVC(), "svr": svm.SVR(), "knn": neighbors.KNeighborsClassifier(3),
        "knn-ball": neighbors.KNeighborsRegressor(3, algorithm="ball_tree"), "knn-kd": neighbors.KNeighborsClassifier(3, algorithm="kd_tree"),
        "outlier": neighbors.LocalOutlierFactor(3, novelty=True), "density": neighbors.KernelDensity(), "mlp": neural_network.MLPClassifier((4,), max_iter=20),
        "kmeans": cluster.KMeans(2, n_init=1), "dbscan": cluster.DBSCAN(), "birch": cluster.Birch(n_clusters=2), "mixture": GaussianMixture(2),
        "pca": decomposition.PCA(2), "svd": decomposition.TruncatedSVD(2), "nmf": decomposition.NMF(2, max_iter=20), "gp": gaussian_process.GaussianProcessRegressor(),
        "isotonic": make_pipeline(SelectKBest(f_classif, k=1), isotonic.IsotonicRegression()), "calibrated": CalibratedClassifierCV(svm.LinearSVC(), cv=2),
        "many": OneVsRestClassifier(linear_model.LogisticRegression()), "grid": GridSearchCV(svm.SVC(), {"C": [0.1, 1.0], "kernel": ["rbf"]}, cv=2),
        "pipeline": make_pipeline(SimpleImputer(), preprocessing.StandardScaler(), linear_model.LogisticRegression()),
        "columns": make_pipeline(columns, tree.DecisionTreeClassifier()), "union": FeatureUnion([("a", decomposition.PCA(1)), ("b", preprocessing.MinMaxScaler())]),
        "function": make_pipeline(preprocessing.FunctionTransformer(np.log1p), linear_model.Ridge()), "polynomial": preprocessing.PolynomialFeatures(2),
        "quantile": preprocessing.QuantileTransformer(n_quantiles=5), "power": preprocessing.PowerTransformer(), "onehot": preprocessing.OneHotEncoder(),
    }  # fmt: skip
    found = {name: model.fit(X, Z if name in ("isotonic", "gp", "svr", "sgd-huber") else Y) for name, model in plain.items() if name != "onehot"}
    found["onehot"] = plain["onehot"].fit(np.array(TEXTS).reshape(-1, 1))
    found["labels"] = preprocessing.LabelEncoder().fit(TEXTS)
    found["count"] = CountVectorizer(ngram_range=(1, 2)).fit(TEXTS)
    found["tfidf"] = TfidfVectorizer(min_df=1, stop_words="english").fit(TEXTS)
    found["hashing"] = HashingVectorizer(n_features=16)
    found["text"] = make_pipeline(TfidfVectorizer(), linear_model.LogisticRegression()).fit(TEXTS, LABELS)
    found["text-bayes"] = make_pipeline(CountVectorizer(analyzer="char_wb"), naive_bayes.MultinomialNB()).fit(TEXTS, LABELS)
    return found


@maker
def sklearn_pickle(folder: Path) -> None:
    for number, (name, model) in enumerate(estimators().items()):
        (folder / f"{name}.p{number % 6}.pkl").write_bytes(pickle.dumps(model, number % 6))


@maker
def sklearn_joblib(folder: Path) -> None:
    import joblib

    for name, model in estimators().items():
        joblib.dump(model, folder / f"{name}.joblib")


@maker
def joblib_saved(folder: Path) -> None:
    import joblib

    value = {"forest": estimators()["forest"], "array": X, "fortran": np.asfortranarray(X), "names": np.array(["a", "b"]), "objects": np.array([1, "a", None], dtype=object)}
    for kind in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4"):
        joblib.dump(value, folder / f"{kind}.joblib", compress=(kind, 3))
    joblib.dump(value, folder / "plain.joblib")
    joblib.dump(value, folder / "extension.gz")
    joblib.dump(value, folder / "extension.z")
    for protocol in range(2, 6):
        joblib.dump(value, folder / f"protocol{protocol}.pkl", protocol=protocol)
    joblib.dump(RANDOM.random((300, 300)), folder / "large.mmap")
    joblib.dump([X.astype(">f4"), X[:, ::2], np.zeros((0, 3)), np.float32(1), np.datetime64("2026-01-01")], folder / "odd.joblib")
    joblib.dump(np.rec.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f8")]), folder / "record.joblib")
    joblib.dump(np.ma.masked_array([1, 2], mask=[0, 1]), folder / "masked.joblib")


@maker
def numpy_saved(folder: Path) -> None:
    arrays = {
        "floats": X, "halves": X.astype("<f2"), "big": X.astype(">i4"), "bools": X > 0.5, "complex": X.astype(complex), "empty": np.zeros((0, 4)),
        "scalar": np.array(3.5), "texts": np.array(["a", "bc"]), "raw": np.array([b"a", b"bc"]), "times": np.array(["2026-01-01"], "datetime64[D]"),
        "spans": np.array([1, 2], "timedelta64[s]"), "fortran": np.asfortranarray(X), "record": np.zeros(3, [("a", "<f4"), ("b", "<i4", (2,)), ("c", "S3")]),
        "objects": np.array([1, "a", None, 2.5, [1, 2], {"k": (1,)}], dtype=object), "ragged": np.array([np.arange(2), np.arange(3)], dtype=object),
        "nested-record": np.zeros(2, [("o", [("i", "<i8"), ("j", "?")])]), "void": np.zeros(2, "V4"), "long": np.arange(50_000),
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
        for protocol in (0, 2, 3, 4, 5):
            if name in ("floats", "texts", "times", "record", "objects", "complex", "scalar"):
                (folder / f"{name}.p{protocol}.pkl").write_bytes(pickle.dumps(array, protocol))
    np.savez(folder / "plain.npz", **arrays)
    np.savez_compressed(folder / "deflated.npz", X, Y, names=arrays["texts"])
    scalars = [np.float64(1.5), np.int32(2), np.bool_(True), np.str_("a"), np.bytes_(b"a"), np.dtype("<f4"), np.dtype([("a", "<i4")]), np.float32, slice(1, 2)]
    for protocol in range(6):
        (folder / f"scalars.p{protocol}.pkl").write_bytes(pickle.dumps(scalars, protocol))
    for name, generator in {"generator": np.random.default_rng(1), "mt19937": np.random.RandomState(1), "philox": np.random.Generator(np.random.Philox(1))}.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(generator))
    (folder / "matrix.pkl").write_bytes(pickle.dumps(np.matrix([[1, 2]])))
    (folder / "masked.pkl").write_bytes(pickle.dumps(np.ma.masked_array([1, 2], mask=[0, 1])))
    (folder / "polynomial.pkl").write_bytes(pickle.dumps(np.poly1d([1, 2])))


@maker
def pandas_saved(folder: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [0.5, None], "t": pd.to_datetime(["2026-01-01", "2026-01-02"]), "k": pd.Categorical(["u", "v"])})
    values = {
        "frame": frame, "series": frame["a"], "index": pd.MultiIndex.from_tuples([(1, "a"), (2, "b")]), "range": pd.RangeIndex(5),
        "nullable": pd.DataFrame({"i": pd.array([1, None], "Int64"), "s": pd.array(["a", None], "string"), "b": pd.array([True, None], "boolean")}),
        "zoned": pd.Series(pd.date_range("2026-01-01", periods=2, tz="UTC")), "period": pd.Series(pd.period_range("2026-01", periods=2, freq="M")),
        "interval": pd.Series(pd.interval_range(0, 2)), "spans": pd.Series(pd.to_timedelta([1, 2], unit="s")), "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1])),
        "grouped": frame.set_index(["a", "b"]), "stamp": [pd.Timestamp("2026-01-01"), pd.Timedelta(1, "s"), pd.NaT, pd.NA],
    }  # fmt: skip
    for name, value in values.items():
        for protocol in range(6) if name in ("frame", "series") else (4, 5):
            pd.to_pickle(value, folder / f"{name}.p{protocol}.pkl", protocol=protocol)
    # Whatever has a time zone with a name is written with a call of `getattr`.
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    times = {
        "place": pd.DataFrame({"t": pd.date_range("2026-01-01", periods=4, tz="Europe/Berlin"), "y": [1.0, 2.0, 3.0, 4.0]}),
        "zone": pd.DataFrame({"t": pd.date_range("2026-01-01", periods=4, tz=zone)}),
        "trained": {"trained": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=zone), "weights": np.arange(4.0)},
    }  # fmt: skip
    for name, value in times.items():
        for protocol in range(6):
            (folder / f"{name}.p{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))
    for extension in ("gz", "bz2", "xz", "zip"):
        frame.to_pickle(folder / f"frame.pkl.{extension}")


@maker
def scipy_saved(folder: Path) -> None:
    from scipy import interpolate, sparse, spatial

    matrix = sparse.random(20, 20, 0.1, format="csr", random_state=1)
    for kind in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr"):
        (folder / f"{kind}.pkl").write_bytes(pickle.dumps(matrix.asformat(kind)))
    for kind in ("csr", "csc", "coo"):
        sparse.save_npz(folder / f"{kind}.npz", matrix.asformat(kind))
    (folder / "sparse-array.pkl").write_bytes(pickle.dumps(sparse.csr_array(matrix)))
    # No frozen distribution of scipy.stats: its pickle carries code text that loading gives to exec, so the alarm is right.
    (folder / "spline.pkl").write_bytes(pickle.dumps(interpolate.CubicSpline(np.arange(4.0), np.arange(4.0))))
    (folder / "kdtree.pkl").write_bytes(pickle.dumps(spatial.cKDTree(X)))
    (folder / "rotation.pkl").write_bytes(pickle.dumps(spatial.transform.Rotation.from_euler("x", 90, degrees=True)))


@maker
def boosting_saved(folder: Path) -> None:
    import joblib
    import lightgbm
    import xgboost

    tree = xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(X, Y)
    for extension in ("json", "ubj"):
        tree.save_model(folder / f"xgboost.{extension}")
    light = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, Y)
    light.booster_.save_model(folder / "lightgbm.txt")
    for name, model in {"xgboost": tree, "xgboost-booster": tree.get_booster(), "lightgbm": light, "lightgbm-booster": light.booster_}.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(model))
        joblib.dump(model, folder / f"{name}.joblib")


@maker
def onnx_saved(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from skl2onnx import to_onnx

    fitted = estimators()
    for name in ("logistic", "forest", "svc", "knn", "pipeline", "kmeans", "mlp", "boosting", "pca"):
        (folder / f"{name}.onnx").write_bytes(to_onnx(fitted[name], X[:1].astype(np.float32)).SerializeToString())
    weights = numpy_helper.from_array(RANDOM.random((5, 3)).astype(np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    given, made = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, k]) for n, k in (("x", 5), ("y", 3)))
    model = helper.make_model(helper.make_graph(nodes, "g", [given], [made], [weights]))
    onnx.save(model, folder / "plain.onnx")
    onnx.save(model, folder / "external.onnx", save_as_external_data=True, all_tensors_to_one_file=True, location="external.onnx.data", size_threshold=0)
    flow = helper.make_node(
        "If", ["c"], ["o"],
        then_branch=helper.make_graph([helper.make_node("Constant", [], ["a"], value_float=1.0)], "t", [], [helper.make_tensor_value_info("a", TensorProto.FLOAT, [])]),
        else_branch=helper.make_graph([helper.make_node("Constant", [], ["b"], value_float=2.0)], "e", [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, [])]),
    )  # fmt: skip
    graph = helper.make_graph([flow], "g", [helper.make_tensor_value_info("c", TensorProto.BOOL, [])], [helper.make_tensor_value_info("o", TensorProto.FLOAT, [])])
    onnx.save(helper.make_model(graph), folder / "branches.onnx")
    function = helper.make_function("local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 18)])
    graph = helper.make_graph([helper.make_node("Twice", ["x"], ["y"], domain="local")], "g", [given], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 5])])
    onnx.save(helper.make_model(graph, functions=[function], opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]), folder / "function.onnx")


@maker
def keras_saved(folder: Path) -> None:
    import keras
    import tensorflow as tf
    from keras import layers

    given = keras.Input((8, 8, 1))
    split = layers.Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2")(given)
    joined = layers.Add()([split, layers.Conv2D(4, 1)(given)])
    functional = keras.Model(given, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(layers.BatchNormalization()(joined))))
    models = {
        "dense": keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="gelu"), layers.Dropout(0.1), layers.Dense(1, kernel_constraint="non_neg")]),
        "functional": functional,
        "recurrent": keras.Sequential([keras.Input((5, 3)), layers.Bidirectional(layers.LSTM(4, return_sequences=True)), layers.GRU(2)]),
        "embedding": keras.Sequential([keras.Input((5,), dtype="int32"), layers.Embedding(9, 4), layers.TimeDistributed(layers.Dense(3)), layers.Flatten()]),
        "augmented": keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.RandomFlip("horizontal"), layers.Resizing(4, 4), layers.Flatten()]),
        "attention": keras.Model(q := keras.Input((4, 8)), layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(q, q))),
    }
    for name, model in models.items():
        if name == "dense":
            model.compile(keras.optimizers.AdamW(1e-3), loss=keras.losses.Huber(), metrics=["mae", keras.metrics.RootMeanSquaredError()])
            model.fit(X[:, :4], Z, epochs=1, verbose=0)
        model.save(folder / f"{name}.keras")
        model.save(folder / f"{name}.h5")
        model.save_weights(folder / f"{name}.weights.h5")
        (folder / f"{name}.json").write_text(model.to_json())
    for name in ("dense", "functional"):
        models[name].export(str(folder / f"{name}-saved"), verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / f"{name}-saved"))
        (folder / f"{name}.tflite").write_bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    (folder / "quantized.tflite").write_bytes(converter.convert())

    class Plain(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(tf.ones((3, 2)))

        @tf.function(input_signature=[tf.TensorSpec([None, 3])])
        def __call__(self, value: tf.Tensor) -> tf.Tensor:
            return tf.nn.relu(tf.matmul(value, self.weight)) if tf.reduce_sum(value) > 0 else tf.zeros((1, 2))

    tf.saved_model.save(Plain(), str(folder / "module-saved"))
    tf.train.Checkpoint(weight=tf.Variable([1.0])).write(str(folder / "checkpoint" / "ckpt"))


@maker
def hdf5_saved(folder: Path) -> None:
    import h5py

    with h5py.File(folder / "plain.h5", "w") as file:
        file.create_dataset("chunked", data=X, chunks=(8, 5), compression="gzip", shuffle=True)
        file.create_group("group").create_dataset("texts", data=["a", "b"], dtype=h5py.string_dtype())
        file["group"].attrs["note"] = "plain"
        file["link"] = h5py.SoftLink("/group/texts")
    record = np.dtype([("x", "f4"), ("n", "i4")])
    for name, version in {"types": "earliest", "types-latest": "latest"}.items():
        with h5py.File(folder / f"{name}.h5", "w", libver=version) as file:
            file["record"] = record
            file.create_dataset("rows", data=np.zeros(3, record), dtype=file["record"])
            for number in range(20):
                file["rows"].attrs.create(f"note{number}", np.zeros((), record), dtype=file["record"])
    with h5py.File(folder / "latest.hdf5", "w", libver="latest") as file:
        for number in range(30):
            file.create_dataset(f"layer{number}/weight", data=X)


@maker
def skops_saved(folder: Path) -> None:
    import skops.io

    fitted = estimators()
    names = ("logistic", "forest", "pipeline", "svc", "hist-boosting", "columns", "grid", "text", "knn", "kmeans", "mlp", "boosting", "stacking")
    for name in names:
        skops.io.dump(fitted[name], folder / f"{name}.skops")
    skops.io.dump({"array": X, "list": [1, "a"]}, folder / "plain.skops")


@maker
def tensors_saved(folder: Path) -> None:
    import gguf
    import safetensors.numpy

    for kind in ("<f4", "<f2", "<f8", "<i8", "<i4", "|u1", "|b1"):
        safetensors.numpy.save_file({"a": X.astype(kind), "b": np.zeros((0, 2), kind)}, folder / f"{kind[1:]}.safetensors")
    for name, kind in {"f32": None, "f16": gguf.GGMLQuantizationType.F16, "q8": gguf.GGMLQuantizationType.Q8_0, "q4": gguf.GGMLQuantizationType.Q4_0}.items():
        writer = gguf.GGUFWriter(folder / f"{name}.gguf", "llama")
        writer.add_name("tiny")
        writer.add_context_length(128)
        writer.add_embedding_length(32)
        writer.add_block_count(1)
        writer.add_tokenizer_model("llama")
        writer.add_token_list(["<unk>", "<s>", "</s>", "os", "system"])
        writer.add_token_scores([0.0] * 5)
        writer.add_token_types([2, 3, 3, 1, 1])
        writer.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}")
        data = RANDOM.random((4, 32)).astype(np.float32)
        if kind is None:
            writer.add_tensor("token_embd.weight", data)
        else:
            writer.add_tensor("token_embd.weight", gguf.quants.quantize(data, kind), raw_dtype=kind)
        writer.add_tensor("output_norm.weight", np.ones(32, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


@maker
def tokenizers_saved(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    kinds = {
        "bpe": (models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=80, special_tokens=["<unk>", "<s>"], show_progress=False)),
        "wordpiece": (models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(vocab_size=80, special_tokens=["[UNK]"], show_progress=False)),
        "unigram": (models.Unigram(), trainers.UnigramTrainer(vocab_size=40, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)),
    }
    for name, (model, trainer) in kinds.items():
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel() if name == "bpe" else pre_tokenizers.Whitespace()
        tokenizer.decoder = decoders.ByteLevel() if name == "bpe" else decoders.WordPiece()
        tokenizer.post_processor = processors.ByteLevel()
        tokenizer.train_from_iterator(TEXTS, trainer)
        (folder / name).mkdir()
        tokenizer.save(str(folder / name / "tokenizer.json"))
        if name != "unigram":
            tokenizer.model.save(str(folder / name))


@maker
def others_saved(folder: Path) -> None:
    import cloudpickle

    (folder / "cloudpickle-data.pkl").write_bytes(cloudpickle.dumps({"model": estimators()["ridge"], "x": X}))
    (folder / "vocabulary.pkl.gz").write_bytes(gzip.compress(pickle.dumps({word: i for i, word in enumerate(" ".join(TEXTS).split())})))
    (folder / "labels.json").write_text(json.dumps({"0": "no", "1": "yes"}))


if __name__ == "__main__":
    run()
