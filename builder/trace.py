"""BuildKit's progress, decoded: base64 protobuf (`moby.buildkit.trace`) in, frozen events out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from core.errors import Unavailable

Kind = descriptor_pb2.FieldDescriptorProto
ONE, MANY = Kind.LABEL_OPTIONAL, Kind.LABEL_REPEATED

# Only what is read; protobuf skips the fields it does not know.
FIELDS: dict[str, list[tuple[str, int, Any, Any, str]]] = {
    "Time": [("seconds", 1, Kind.TYPE_INT64, ONE, ""), ("nanos", 2, Kind.TYPE_INT32, ONE, "")],
    "Vertex": [
        ("digest", 1, Kind.TYPE_STRING, ONE, ""),
        ("name", 3, Kind.TYPE_STRING, ONE, ""),
        ("cached", 4, Kind.TYPE_BOOL, ONE, ""),
        ("completed", 6, Kind.TYPE_MESSAGE, ONE, "Time"),
        ("error", 7, Kind.TYPE_STRING, ONE, ""),
    ],
    "Log": [("vertex", 1, Kind.TYPE_STRING, ONE, ""), ("msg", 4, Kind.TYPE_BYTES, ONE, "")],
    "Status": [
        ("vertexes", 1, Kind.TYPE_MESSAGE, MANY, "Vertex"),
        ("logs", 3, Kind.TYPE_MESSAGE, MANY, "Log"),
    ],
}


@dataclass(frozen=True)
class Step:
    """A step began, ended or failed."""

    id: str
    name: str
    cached: bool
    ended: bool
    error: str


@dataclass(frozen=True)
class Output:
    """Bytes a step wrote."""

    step: str
    data: bytes


def status_class() -> type[Message]:
    """The message class of `StatusResponse`, from a descriptor made here: BuildKit ships no Python."""
    file = descriptor_pb2.FileDescriptorProto(name="buildkit.proto", package="buildkit", syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label, of in fields:
            type_name = f".buildkit.{of}" if of else None
            message.field.add(name=field, number=number, type=kind, label=label, type_name=type_name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("buildkit.Status"))


Status: Any = status_class()


def decode(aux: str) -> Iterator[Step | Output]:
    """The events of one trace message; Unavailable when it is no such message."""
    try:
        status = Status.FromString(base64.b64decode(aux))
    except (DecodeError, binascii.Error) as error:
        raise Unavailable("the engine's build progress cannot be read", "Which engine is this?") from error
    for vertex in status.vertexes:
        yield Step(vertex.digest, vertex.name, vertex.cached, vertex.HasField("completed"), vertex.error)
    for log in status.logs:
        yield Output(log.vertex, log.msg)
