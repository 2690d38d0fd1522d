"""The one door for every change that a client or a person asks for: permission, guard, execution, audit."""

from gateway.operations.door import Door as Door
from gateway.operations.door import Operation as Operation
from gateway.operations.door import Refused as Refused
