"""OPC UA StatusCodes as columns of uint32 (Part 4, 7.39; Part 8, 6.3).

The upper two bits are the severity: 00 Good, 01 Uncertain, 10 and 11 Bad.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Statuses = NDArray[np.uint32]

GOOD: Final = 0x0000_0000
GOOD_LOCAL_OVERRIDE: Final = 0x0096_0000
UNCERTAIN: Final = 0x4000_0000
UNCERTAIN_SIMULATED: Final = 0x4209_0000
UNCERTAIN_LAST_USABLE: Final = 0x4090_0000
UNCERTAIN_SUBSTITUTE: Final = 0x4091_0000
UNCERTAIN_EU_EXCEEDED: Final = 0x4094_0000
UNCERTAIN_SUB_NORMAL: Final = 0x4095_0000  # made of fewer Good inputs than it should be
BAD: Final = 0x8000_0000
BAD_UNEXPECTED_ERROR: Final = 0x8001_0000
BAD_DECODING_ERROR: Final = 0x8007_0000
BAD_ENCODING_LIMITS: Final = 0x8008_0000
BAD_TIMEOUT: Final = 0x800A_0000
BAD_SHUTDOWN: Final = 0x800C_0000
BAD_USER_ACCESS_DENIED: Final = 0x801F_0000
BAD_NO_COMMUNICATION: Final = 0x8031_0000
BAD_WAITING_FOR_INITIAL_DATA: Final = 0x8032_0000
BAD_NODE_ID_UNKNOWN: Final = 0x8034_0000
BAD_NOT_WRITABLE: Final = 0x803B_0000
BAD_OUT_OF_RANGE: Final = 0x803C_0000
BAD_NOT_SUPPORTED: Final = 0x803D_0000
BAD_TYPE_MISMATCH: Final = 0x8074_0000
BAD_CONFIGURATION_ERROR: Final = 0x8089_0000
BAD_NOT_CONNECTED: Final = 0x808A_0000
BAD_OUT_OF_SERVICE: Final = 0x808D_0000
BAD_CONDITION_ALREADY_DISABLED: Final = 0x8098_0000
BAD_CONDITION_DISABLED: Final = 0x8099_0000
BAD_NO_DATA: Final = 0x809B_0000
BAD_INVALID_STATE: Final = 0x80AF_0000
BAD_CONDITION_ALREADY_ENABLED: Final = 0x80CC_0000
BAD_CONDITION_ALREADY_ACKED: Final = 0x80CF_0000
BAD_CONDITION_ALREADY_CONFIRMED: Final = 0x80D0_0000
BAD_CONDITION_ALREADY_SHELVED: Final = 0x80D1_0000
BAD_CONDITION_NOT_SHELVED: Final = 0x80D2_0000
BAD_SHELVING_TIME_OUT_OF_RANGE: Final = 0x80D3_0000

_NAMES: Final = {
    GOOD: "Good",
    GOOD_LOCAL_OVERRIDE: "GoodLocalOverride",
    UNCERTAIN: "Uncertain",
    UNCERTAIN_SIMULATED: "UncertainSimulatedValue",
    UNCERTAIN_LAST_USABLE: "UncertainLastUsableValue",
    UNCERTAIN_SUBSTITUTE: "UncertainSubstituteValue",
    UNCERTAIN_EU_EXCEEDED: "UncertainEngineeringUnitsExceeded",
    UNCERTAIN_SUB_NORMAL: "UncertainSubNormal",
    0x4093_0000: "UncertainSensorNotAccurate",
    0x408F_0000: "UncertainNoCommunicationLastUsableValue",
    BAD: "Bad",
    BAD_UNEXPECTED_ERROR: "BadUnexpectedError",
    0x8005_0000: "BadCommunicationError",
    BAD_DECODING_ERROR: "BadDecodingError",
    BAD_ENCODING_LIMITS: "BadEncodingLimitsExceeded",
    BAD_TIMEOUT: "BadTimeout",
    BAD_SHUTDOWN: "BadShutdown",
    BAD_USER_ACCESS_DENIED: "BadUserAccessDenied",
    BAD_NO_COMMUNICATION: "BadNoCommunication",
    BAD_WAITING_FOR_INITIAL_DATA: "BadWaitingForInitialData",
    BAD_NODE_ID_UNKNOWN: "BadNodeIdUnknown",
    BAD_NOT_WRITABLE: "BadNotWritable",
    BAD_OUT_OF_RANGE: "BadOutOfRange",
    BAD_NOT_SUPPORTED: "BadNotSupported",
    BAD_TYPE_MISMATCH: "BadTypeMismatch",
    BAD_CONFIGURATION_ERROR: "BadConfigurationError",
    BAD_NOT_CONNECTED: "BadNotConnected",
    0x808B_0000: "BadDeviceFailure",
    0x808C_0000: "BadSensorFailure",
    BAD_OUT_OF_SERVICE: "BadOutOfService",
    BAD_NO_DATA: "BadNoData",
    BAD_INVALID_STATE: "BadInvalidState",
}
_CODES: Final = {name: status for status, name in _NAMES.items()}
_WORDS: Final = ("good", "uncertain", "bad", "bad")


def name(status: int) -> str:
    """The standard's name of a StatusCode; info bits are ignored, and a code without a name is written in hexadecimal."""
    known = _NAMES.get(status & 0xFFFF_0000)
    if known is None:
        from gateway.model.statuscodes import NAMES

        return NAMES.get(status & 0xFFFF_0000) or f"0x{status:08X}"
    return known


def code(text: str) -> int | None:
    """The StatusCode of a name of the standard, or of hexadecimal digits as `name` writes them; None for any other text."""
    known = _CODES.get(text)
    if known is None and text.startswith("0x") and len(text) == 10:
        try:
            return int(text, 16)
        except ValueError:
            return None
    if known is None and text.startswith(("Good", "Uncertain", "Bad")):
        from gateway.model.statuscodes import CODES

        return CODES.get(text)
    return known


def word(status: int) -> str:
    """good, uncertain or bad."""
    return _WORDS[(status >> 30) & 3]


def is_bad(status: Statuses) -> NDArray[np.bool_]:
    """Which of the codes are Bad, shape as given."""
    return status >= np.uint32(BAD)


def is_good(status: Statuses) -> NDArray[np.bool_]:
    """Which of the codes are Good, shape as given."""
    return status < np.uint32(UNCERTAIN)
