// A SCADA client on node-opcua at every door of the gateway's server: each policy and mode, each way to sign in, good and bad.
//   node security.mjs <url> <folder: chain.pem and .pem of client, stranger and expired; person.der person.pem> <password>
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const nodeOpcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { OPCUAClient, SecurityPolicy, MessageSecurityMode, UserTokenType } = nodeOpcua;

const [, , url, folder, password] = process.argv;
const manager = new OPCUACertificateManager({ rootFolder: join(folder, "pki-of-node"), automaticallyAcceptUnknownCertificate: true });
await manager.initialize();
const within = (ms, what, promise) =>
  Promise.race([promise, new Promise((_, no) => setTimeout(() => no(new Error(`not within ${ms} ms: ${what}`)), ms).unref())]);

const ola = { type: UserTokenType.UserName, userName: "ola", password };
const der = readFileSync(join(folder, "person.der"));
const pem = readFileSync(join(folder, "person.pem"), "utf8");
const vera = { type: UserTokenType.Certificate, certificateData: der, privateKey: pem };

function made(policy, mode, who = "client") {
  return OPCUAClient.create({
    applicationName: "test",
    applicationUri: "urn:test:client",
    certificateFile: join(folder, `${who}.chain.pem`),
    privateKeyFile: join(folder, `${who}.pem`),
    clientCertificateManager: manager,
    securityPolicy: SecurityPolicy[policy],
    securityMode: MessageSecurityMode[mode],
    endpointMustExist: false,
    connectionStrategy: { maxRetry: 0 },
    defaultSecureTokenLifetime: 20000,
  });
}

// what a client with this identity reads, or why not
async function attempt(policy, mode, identity, who) {
  const client = made(policy, mode, who);
  try {
    await within(10000, "connect", client.connect(url));
    const session = await within(10000, "session", client.createSession(identity));
    const value = await within(10000, "read", session.read({ nodeId: "ns=2;s=a.x" }));
    await session.close();
    return value.value.value;
  } catch (error) {
    return (/Bad[A-Za-z]+/.exec(`${error.message} ${error.response?.responseHeader?.serviceResult?.name ?? ""}`) ?? [error.message])[0];
  } finally {
    await within(5000, "disconnect", client.disconnect()).catch(() => {});
  }
}

const found = { doors: {} };
for (const policy of ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"])
  for (const mode of ["Sign", "SignAndEncrypt"])
    found.doors[`${policy}/${mode}`] = [await attempt(policy, mode, ola), await attempt(policy, mode, vera)];
found.wrongPassword = await attempt("Basic256Sha256", "SignAndEncrypt", { ...ola, password: "wrong" });
found.unknownUser = await attempt("Basic256Sha256", "SignAndEncrypt", { ...ola, userName: "nobody" });
found.none = await attempt("None", "None", ola);
found.refused = {};
for (const who of ["stranger", "expired"]) {
  found.refused[who] = [];
  for (const policy of ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]) found.refused[who].push(await attempt(policy, "SignAndEncrypt", ola, who));
}
console.log(JSON.stringify(found));
process.exit(0);
