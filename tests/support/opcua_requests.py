"""Requests of the library's, by what they are for: small ones, and as long as they may be."""

from asyncua import ua

from gateway.wire.opcua import limits

VALUE = ua.AttributeIds.Value
FOLDER = ua.NodeId("many", 2)
"""With the tags many.x0 and so on below it."""
TAGS = 3_000


def many(count):
    return [ua.NodeId(f"many.x{number % TAGS}", 2) for number in range(count)]


def request(kind, **params):
    made = getattr(ua, f"{kind}Request")()
    for name, value in params.items():
        setattr(made.Parameters, name, value)
    return made


def subscription(interval=1000.0):
    made = ua.CreateSubscriptionRequest()
    made.Parameters = ua.CreateSubscriptionParameters(interval, 3000, 100, 0, True, 0)
    return made


def items(subscription_id, nodes, attribute=VALUE, queue=1):
    return request(
        "CreateMonitoredItems",
        SubscriptionId=subscription_id,
        TimestampsToReturn=ua.TimestampsToReturn.Both,
        ItemsToCreate=[
            ua.MonitoredItemCreateRequest(
                ua.ReadValueId(node, attribute), ua.MonitoringMode.Reporting, ua.MonitoringParameters(number, 0.0, None, queue, True)
            )
            for number, node in enumerate(nodes)
        ],
    )


def reads(attribute):
    return request("Read", NodesToRead=[ua.ReadValueId(node, attribute) for node in many(limits.NODES_PER_READ)], TimestampsToReturn=2)


def browses(direction=ua.BrowseDirection.Both, mask=63, page=0):
    wanted = [ua.BrowseDescription(FOLDER, direction, ua.NodeId(), True, 0, mask)] * limits.NODES_PER_BROWSE
    return request("Browse", NodesToBrowse=wanted, RequestedMaxReferencesPerNode=page)


def paths(names, count=1, start=FOLDER):
    element = [ua.RelativePathElement(ua.NodeId(), False, True, ua.QualifiedName(name, 2)) for name in names]
    return request("TranslateBrowsePathsToNodeIds", BrowsePaths=[ua.BrowsePath(start, ua.RelativePath(element))] * count)


def refreshes(count):
    call = ua.CallMethodRequest(ua.NodeId(2782), ua.NodeId(3875), [ua.Variant(1, ua.VariantType.UInt32)])
    return calls([call] * count)


def calls(wanted):
    return request("Call", MethodsToCall=wanted)
