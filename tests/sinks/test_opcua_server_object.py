"""The Server object to an asyncua client: every Variable reads Good, nothing mandatory is missing, and what it says is so (Part 5, 6.3)."""

import re

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from gateway.access.people import People
from gateway.model.tag import Tag, TagType
from gateway.wire.opcua import capabilities, limits
from support.opcua_face import opcua_face

SERVER = ua.NodeId(ua.ObjectIds.Server)
MANDATORY = ua.NodeId(ua.ObjectIds.ModellingRule_Mandatory)
OURS = "Namespaces/urn:edgetwin:line1"
CONFIDENTIAL = {"i=3708", "i=16134", f"ns=2;s={OURS}/DefaultRolePermissions"}
"""Readable by administrators only."""
TAGS = [Tag(0, "line.t", unit="Cel", eu_range=(0.0, 60.0)), Tag(1, "line.state", type=TagType.ENUM, labels={0: "idle", 1: "busy"})]


@pytest.fixture
async def client():
    async with opcua_face(TAGS) as face, Client(face.sink.url) as client:
        await face.step({"line.t": 20.0, "line.state": 1.0})
        yield client


async def forward(client, nodeid, kind=ua.ObjectIds.HierarchicalReferences, *, inverse=False):
    direction = ua.BrowseDirection.Inverse if inverse else ua.BrowseDirection.Forward
    return await client.get_node(nodeid).get_references(refs=kind, direction=direction)


async def walked(client, start=SERVER):
    """Every node below the Server object, by its references: NodeId -> ReferenceDescription."""
    found, left = {}, [start]
    while left:
        for reference in await forward(client, left.pop()):
            if reference.NodeId not in found:
                found[reference.NodeId] = reference
                left.append(reference.NodeId)
    return found


async def mandatory(client, type_id):
    """BrowseNames of the children that an instance of that type must have, those of its supertypes among them."""
    names = set()
    while type_id is not None:
        for child in await forward(client, type_id, ua.ObjectIds.Aggregates):
            rules = await forward(client, child.NodeId, ua.ObjectIds.HasModellingRule)
            if any(rule.NodeId == MANDATORY for rule in rules):
                names.add(child.BrowseName.Name)
        above = await forward(client, type_id, ua.ObjectIds.HasSubtype, inverse=True)
        type_id = above[0].NodeId if above else None
    return names


async def test_every_variable_below_the_server_object_reads_good_and_holds_a_value(client):
    bad = {}
    for nodeid, reference in (await walked(client)).items():
        if reference.NodeClass == ua.NodeClass.Variable:
            value = await client.get_node(nodeid).read_data_value(raise_on_bad_status=False)
            if not value.StatusCode.is_good() or (value.Value.Value is None and value.Value.VariantType == ua.VariantType.Null):
                bad[nodeid.to_string()] = value.StatusCode.name
    assert bad == dict.fromkeys(CONFIDENTIAL, "BadUserAccessDenied")


async def test_nothing_mandatory_is_missing_below_the_server_object(client):
    """Each instance has the children that its type and the types above it demand."""
    nodes, known, missing = await walked(client), {}, {}
    nodes[SERVER] = None
    for nodeid in nodes:
        if nodes[nodeid] is not None and nodes[nodeid].NodeClass == ua.NodeClass.Method:
            continue
        (definition,) = await forward(client, nodeid, ua.ObjectIds.HasTypeDefinition)
        if definition.NodeId not in known:
            known[definition.NodeId] = await mandatory(client, definition.NodeId)
        lack = known[definition.NodeId] - {child.BrowseName.Name for child in await forward(client, nodeid)}
        if lack:
            missing[nodeid.to_string()] = lack
    assert missing == {}


async def test_what_is_not_served_is_not_there_nor_is_any_part_of_it(client):
    """PubSub, the file of trust lists, logs: neither found by walking nor known by identifier, whichever way one asks."""
    for identifier in (*capabilities.NOT_SERVED, 17451, 12643, 24301):  # the last three lie deep below
        node = client.get_node(ua.NodeId(identifier))
        with pytest.raises(UaStatusCodeError) as unknown:
            await node.read_browse_name()
        assert unknown.value.code == ua.StatusCodes.BadNodeIdUnknown
        assert await node.get_references() == []
    names = {reference.BrowseName.Name for reference in await forward(client, SERVER)}
    assert not {"PublishSubscribe", "ServerConfiguration", "Resources", "ServerLog", "UrisVersion"} & names


async def test_the_metadata_of_the_gateways_namespace(client):
    """Part 5, 6.3.14: found below Server.Namespaces by the namespace's URI, with the properties of its type."""
    folder = client.get_node(ua.ObjectIds.Server_Namespaces)
    metadata = await folder.get_child("2:urn:edgetwin:line1")
    assert metadata.nodeid == ua.NodeId(OURS, 2)
    assert await metadata.read_type_definition() == ua.NodeId(ua.ObjectIds.NamespaceMetadataType)
    assert (await metadata.get_parent()).nodeid == folder.nodeid

    async def said(name):
        return await (await metadata.get_child(f"0:{name}")).read_value()

    assert await said("NamespaceUri") == (await client.get_namespace_array())[2]
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", await said("NamespaceVersion"))
    assert (await said("NamespacePublicationDate")).year >= 2020
    assert await said("IsNamespaceSubset") is False
    assert await said("StaticNodeIdTypes") == [1]
    assert (await said("StaticNumericNodeIdRange"), await said("StaticStringNodeIdPattern")) == ([], ".*")
    assert await said("DefaultAccessRestrictions") == 0
    (anonymous,) = await said("DefaultUserRolePermissions")
    assert anonymous.RoleId == ua.NodeId(ua.ObjectIds.WellKnownRole_Anonymous)
    with pytest.raises(UaStatusCodeError) as denied:
        await said("DefaultRolePermissions")
    assert denied.value.code == ua.StatusCodes.BadUserAccessDenied


async def test_an_administrator_reads_the_default_permissions_of_the_namespace(tmp_path):
    people = People()
    await people.users.add("ann", "admin", "kettle-drum-seven")
    async with opcua_face(TAGS, access=people, folder=tmp_path) as face:
        client = Client(face.sink.url)
        client.set_user("ann")
        client.set_password("kettle-drum-seven")
        async with client:
            entries = await client.get_node(ua.NodeId(f"{OURS}/DefaultRolePermissions", 2)).read_value()
            assert {entry.RoleId.Identifier for entry in entries} >= {15668, 15680, 16036, 15692, 15716, 15704}
            (made,) = await client.uaclient.create_monitored_items(
                ua.CreateMonitoredItemsParameters(
                    SubscriptionId=(await client.create_subscription(100, None)).subscription_id,
                    ItemsToCreate=[
                        ua.MonitoredItemCreateRequest(
                            ItemToMonitor=ua.ReadValueId(ua.NodeId(f"{OURS}/DefaultUserRolePermissions", 2), ua.AttributeIds.Value)
                        )
                    ],
                )
            )
            assert made.StatusCode.value == ua.StatusCodes.BadNotSupported


async def test_profiles_locales_and_limits_are_stated(client):
    async def said(name):
        return await client.get_node(ua.NodeId(getattr(ua.ObjectIds, f"Server_ServerCapabilities_{name}"))).read_value()

    assert await said("ServerProfileArray") == list(capabilities.PROFILES)
    assert len(set(capabilities.PROFILES)) == len(capabilities.PROFILES)
    assert (await said("LocaleIdArray"), await said("SoftwareCertificates")) == (["en"], [])
    assert (await said("MaxQueryContinuationPoints"), await said("MaxHistoryContinuationPoints")) == (0, 100)
    assert await said("MaxBrowseContinuationPoints") == limits.BROWSE_POINTS_PER_SESSION
    assert (await said("MaxSelectClauseParameters"), await said("MaxWhereClauseParameters")) == (256, 1_024)
    assert await said("MaxMonitoredItemsQueueSize") == limits.EVENT_QUEUE[2]


async def test_texts_carry_their_locale(client):
    states = await client.get_node(ua.NodeId("line.state/EnumStrings", 2)).read_value()
    unit = await client.get_node(ua.NodeId("line.t/EngineeringUnits", 2)).read_value()
    assert [(one.Text, one.Locale) for one in states] == [("idle", "en"), ("busy", "en")]
    assert (unit.DisplayName.Locale, unit.Description.Locale) == ("en", "en")


async def test_who_holds_a_role_is_said_by_rules(client):
    """Part 18, 4.4.1: roles that the gateway's own users are given have no rules here."""
    for role, kinds in (("Anonymous", [5]), ("AuthenticatedUser", [6]), ("Operator", []), ("SecurityAdmin", [])):
        rules = await client.get_node(ua.NodeId(getattr(ua.ObjectIds, f"WellKnownRole_{role}_Identities"))).read_value()
        assert [int(rule.CriteriaType) for rule in rules] == kinds
