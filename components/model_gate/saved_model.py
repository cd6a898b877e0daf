"""Checks the files and the graph of a SavedModel without loading it.

Loading a SavedModel runs its initializers, and calling it runs its operations. An operation can
read and write files, open connections or call Python, so both must be known before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from models.features import IMAGE, LABEL, PROBABILITIES, SCORES

SAVED_MODEL = "saved_model.pb"

SIGNATURES: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "serving_default": ({"examples": "DT_STRING"}, {PROBABILITIES: "DT_FLOAT"}),
    "serving_images": ({"images": "DT_STRING"}, {PROBABILITIES: "DT_FLOAT"}),
    "predict_images": ({"images": "DT_FLOAT"}, {SCORES: "DT_FLOAT"}),
    "transform_features": ({"examples": "DT_STRING"}, {IMAGE: "DT_FLOAT", LABEL: "DT_INT64"}),
}
"""The signatures of `models.signatures.ServingModel`: dtypes of their inputs and outputs."""

_INITIALIZER = "__saved_model_init_op"

# Operations that only compute their outputs from their inputs. A fork whose network or transform
# graph needs another one adds it here, after making sure that it neither reads nor writes anything
# outside of the graph, calls no Python, and returns the same outputs each time.
_OPERATIONS = {
    "structure, constants and weights": (
        "Const Identity IdentityN NoOp Placeholder PlaceholderWithDefault PartitionedCall "
        "StatefulPartitionedCall If StatelessIf While StatelessWhile Case StatelessCase Switch "
        "Merge Assert EnsureShape StopGradient PreventGradient VarHandleOp ReadVariableOp "
        "ResourceGather DisableCopyOnRead Snapshot"
    ),
    "shapes and arrays": (
        "BatchToSpaceND BroadcastArgs BroadcastTo Concat ConcatOffset ConcatV2 DepthToSpace Diag "
        "DiagPart DynamicPartition DynamicStitch Empty ExpandDims Fill Gather GatherNd GatherV2 "
        "InvertPermutation LinSpace MatrixDiag MatrixDiagPart MatrixDiagPartV3 MatrixDiagV3 "
        "MirrorPad OneHot OnesLike Pack Pad PadV2 ParallelDynamicStitch Range Rank Reshape "
        "Reverse ReverseV2 ReverseSequence Roll ScatterNd Select SelectV2 Shape ShapeN Size Slice "
        "SpaceToBatchND SpaceToDepth Split SplitV Squeeze StridedSlice TensorScatterAdd "
        "TensorScatterUpdate Tile Transpose Unique UniqueV2 Unpack Where ZerosLike"
    ),
    "numbers": (
        "Abs Acos Acosh Add AddN AddV2 Asin Asinh Atan Atan2 Atanh BatchMatMul BatchMatMulV2 "
        "BatchMatMulV3 Bincount Bitcast BitwiseAnd BitwiseOr BitwiseXor Bucketize Cast Ceil "
        "ClipByValue Cos Cosh Cross Cumprod Cumsum CumulativeLogsumexp DenseBincount Digamma Div "
        "DivNoNan Einsum Erf Erfc Erfinv Exp Expm1 Floor FloorDiv FloorMod Inv Invert LeftShift "
        "Lgamma Log Log1p MatMul Maximum Minimum Mod Mul MulNoNan NextAfter Neg Pow RealDiv "
        "Reciprocal RightShift Rint Round Rsqrt Sigmoid Sign Sin Sinh Sqrt Square "
        "SquaredDifference Sub Tan Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy All Any "
        "ApproximateEqual Equal Greater GreaterEqual IsFinite IsInf IsNan Less LessEqual "
        "LogicalAnd LogicalNot LogicalOr NotEqual ArgMax ArgMin EuclideanNorm InTopK InTopKV2 "
        "L2Loss Max Mean Min Prod SegmentMax SegmentMean SegmentMin SegmentSum Sum TopK TopKV2 "
        "UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum"
    ),
    "networks": (
        "AvgPool AvgPool3D BiasAdd BiasAddV1 Conv2D Conv2DBackpropInput Conv3D "
        "Conv3DBackpropInputV2 DepthwiseConv2dNative Dilation2D Elu FusedBatchNorm "
        "FusedBatchNormV2 FusedBatchNormV3 LRN LeakyRelu LogSoftmax MaxPool MaxPool3D MaxPoolV2 "
        "Relu Relu6 Selu Softmax Softplus Softsign"
    ),
    "images": (
        "AdjustContrastv2 AdjustHue AdjustSaturation CropAndResize DecodeAndCropJpeg DecodeBmp "
        "DecodeGif DecodeImage DecodeJpeg DecodePng EncodeJpeg EncodePng ExtractImagePatches "
        "HSVToRGB ImageProjectiveTransformV2 ImageProjectiveTransformV3 RGBToHSV ResizeArea "
        "ResizeBicubic ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate"
    ),
    "examples, strings and lists of tensors": (
        "AsString DecodeBase64 DecodeCompressed DecodePaddedRaw DecodeRaw EncodeBase64 "
        "ParseExample ParseExampleV2 ParseSingleExample ParseTensor ReduceJoin RegexFullMatch "
        "RegexReplace SparseReshape SparseToDense StaticRegexFullMatch StaticRegexReplace "
        "StringFormat StringJoin StringLength StringLower StringSplit StringSplitV2 StringStrip "
        "StringToHashBucketFast StringToNumber StringUpper Substr EmptyTensorList "
        "TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather "
        "TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack "
        "TensorListReserve TensorListResize TensorListScatterV2 TensorListSetItem TensorListSplit "
        "TensorListStack"
    ),
}
ALLOWED_OPERATIONS = frozenset(" ".join(_OPERATIONS.values()).split())

# Operations that write variables, or read and write checkpoints. TensorFlow adds them to each
# SavedModel, and a server runs them when it loads the model, but no signature may.
_LOADING_OPERATIONS = frozenset({"AssignVariableOp", "VarIsInitializedOp"})
_SAVER_OPERATIONS = _LOADING_OPERATIONS | {
    "MergeV2Checkpoints",
    "RestoreV2",
    "SaveV2",
    "ShardedFilename",
}


def file_problems(directory: Path) -> list[str]:
    """Finds files that are not plain files in a plain directory, and a missing graph."""
    problems = [
        f"{path.relative_to(directory)} is "
        + ("a symbolic link" if path.is_symlink() else "not a regular file")
        for path in sorted(directory.rglob("*"))
        if path.is_symlink() or not (path.is_file() or path.is_dir())
    ]
    if not (directory / SAVED_MODEL).is_file():
        problems.append(f"{SAVED_MODEL} is missing")
    return problems


def size_in_bytes(directory: Path) -> int:
    """Returns the total size of the files below a directory."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir())


def read_graph(directory: Path) -> Any:
    """Parses the graph of a SavedModel, a MetaGraphDef.

    Raises:
      ValueError: the file is not a SavedModel, or has several graphs, of which servers may choose
        another one than Python.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    try:
        saved_model = SavedModel.FromString((directory / SAVED_MODEL).read_bytes())
    except DecodeError as error:
        raise ValueError(f"{SAVED_MODEL} can't be parsed: {error}") from error
    if len(saved_model.meta_graphs) != 1:
        raise ValueError(f"expected one graph, received {len(saved_model.meta_graphs)}")
    return saved_model.meta_graphs[0]


def signature_problems(graph: Any) -> list[str]:
    """Compares the names and dtypes of a graph's signatures with SIGNATURES."""
    from tensorflow.core.framework.types_pb2 import DataType

    received = {
        name: tuple(
            {key: DataType.Name(tensor.dtype) for key, tensor in tensors.items()}
            for tensors in (signature.inputs, signature.outputs)
        )
        for name, signature in graph.signature_def.items()
        if name != _INITIALIZER
    }
    return [
        *(f"{name} is missing" for name in SIGNATURES if name not in received),
        *(f"{name} is unknown and can't be checked" for name in received if name not in SIGNATURES),
        *(
            f"{name}: expected {_described(SIGNATURES[name])}, received {_described(value)}"
            for name, value in received.items()
            if name in SIGNATURES and value != SIGNATURES[name]
        ),
    ]


def operation_problems(graph: Any) -> list[str]:
    """Finds operations of a graph that are not allowed where they are.

    - The saver's functions, which no signature can reach, may also read and write checkpoints.
    - The main graph may also initialize variables, but no signature may reach that.
    - Everything else, also functions that no signature calls, may use ALLOWED_OPERATIONS.
    """
    functions = {
        function.signature.name: function.node_def for function in graph.graph_def.library.function
    }
    nodes = {node.name: node for node in graph.graph_def.node}
    saver_nodes = [
        nodes[name]
        for tensor in (graph.saver_def.save_tensor_name, graph.saver_def.restore_op_name)
        if (name := _node(tensor)) in nodes
    ]
    saver = _called(saver_nodes, functions)
    served = list(_upstream(graph.signature_def.values(), nodes))
    ordinary = [node for name, body in functions.items() if name not in saver for node in body]
    found = {
        *_forbidden(graph.graph_def.node, functions, _LOADING_OPERATIONS),
        *_forbidden(
            (node for name in saver for node in functions[name]), functions, _SAVER_OPERATIONS
        ),
        *_forbidden([*served, *ordinary], functions, frozenset()),
        *(name for node in [*served, *ordinary] for name in _references(node) if name in saver),
    }
    return sorted(found)


def _forbidden(
    nodes: Iterable[Any], functions: Mapping[str, Any], extra: frozenset[str]
) -> Iterator[str]:
    """Yields the operations that are neither allowed, nor in `extra`, nor calls of a function."""
    for node in nodes:
        if node.op not in ALLOWED_OPERATIONS and node.op not in extra and node.op not in functions:
            yield node.op


def _called(nodes: Iterable[Any], functions: Mapping[str, Any]) -> set[str]:
    """Returns the names of all functions that nodes call directly or indirectly."""
    called: set[str] = set()
    pending = list(nodes)
    while pending:
        for name in _references(pending.pop()):
            if name in functions and name not in called:
                called.add(name)
                pending.extend(functions[name])
    return called


def _references(node: Any) -> Iterator[str]:
    """Yields the names of the functions that a node calls."""
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)


def _upstream(signatures: Iterable[Any], nodes: Mapping[str, Any]) -> Iterator[Any]:
    """Yields the main graph's nodes that the outputs of signatures depend on."""
    tensors = [
        tensor.name
        for signature in signatures
        for tensor in [*signature.inputs.values(), *signature.outputs.values()]
    ]
    pending, seen = [_node(name) for name in tensors], set()
    while pending:
        name = pending.pop()
        if name in nodes and name not in seen:
            seen.add(name)
            yield nodes[name]
            pending.extend(_node(tensor) for tensor in nodes[name].input)


def _node(tensor: str) -> str:
    """Returns the node of a tensor "node:0" or of a control input "^node"."""
    return tensor.removeprefix("^").partition(":")[0]


def _described(signature: tuple[Mapping[str, str], ...]) -> str:
    inputs, outputs = (
        ", ".join(f"{key} {dtype.removeprefix('DT_').lower()}" for key, dtype in side.items())
        for side in signature
    )
    return f"{inputs} -> {outputs}"
