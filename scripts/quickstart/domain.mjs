// The trust domain of the story: a server and an agent as real processes, and the operator who types their commands.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child, run } from './child.mjs';
import { chooseNodeProof } from './node-proof.mjs';
import { program, root } from './program.mjs';

const TRUST_DOMAIN = 'example.org';
const NODE_ALIAS = `spiffe://${TRUST_DOMAIN}/quickstart-node`;
/** Short, so that a rotation can be watched: the agent renews at half of it. */
const SVID_TTL_SECONDS = 20;
/** Made-up users of the workloads, when this runs as root and may use others. */
const WORKLOAD_UIDS = { 'greeter-server': 21_001, 'greeter-client': 21_002 };

export class Domain {
  directory = mkdtempSync(join(tmpdir(), 'bonafide-quickstart-'));
  narrator;
  #signal;
  #children = [];

  constructor({ narrator, signal }) {
    this.narrator = narrator;
    this.#signal = signal;
    chmodSync(this.directory, 0o755); // the workloads' users pass through to the agent's socket
    mkdirSync(this.path('bin'));
    for (const name of ['server', 'agent']) mkdirSync(this.path(name), { mode: 0o700 });
  }

  path(...names) {
    return join(this.directory, ...names);
  }

  get adminSocket() {
    return this.path('server', 'admin.sock');
  }

  get workloadSocket() {
    return this.path('workload-api.sock');
  }

  async chooseNodeProof() {
    this.proof = await chooseNodeProof(this);
  }

  async startServer() {
    await this.narrator.step(
      `Starting the server of trust domain ${TRUST_DOMAIN}, on embedded SQLite`,
      async () => {
        this.port = await findFreePort();
        this.narrator.say(`everything is in ${this.directory}`);
        writeFileSync(this.path('server.yaml'), serverConfig(this));
        const args = [program('server'), 'run', '--config', this.path('server.yaml')];
        this.server = this.start('server', process.execPath, args);
        await this.waitFor('the server to be healthy', async () => (await this.operator('healthcheck')).isOk);
        this.narrator.ok(`bonafide-server healthcheck: healthy, on 127.0.0.1:${this.port}`);
      },
    );
  }

  async startAgent() {
    await this.narrator.step(
      `Starting the agent, which proves its node with ${this.proof.words}`,
      async () => {
        writeFileSync(this.path('bundle.pem'), (await this.mustOperate('bundle', 'show')).text);
        this.narrator.ok('bonafide-server bundle show: the agent knows its server by this certificate');
        await this.proof.prepare(NODE_ALIAS);
        writeFileSync(this.path('agent.yaml'), agentConfig(this));
        const args = [program('agent'), 'run', '--config', this.path('agent.yaml')];
        this.agent = this.start('agent', process.execPath, args);
        const health = ['healthcheck', '--socket-path', this.workloadSocket];
        await this.waitFor(
          'the agent to be healthy',
          async () => (await run(process.execPath, [program('agent'), ...health])).isOk,
        );
        const listed = await this.mustOperate('agent', 'list');
        const pattern = new RegExp(`spiffe://${TRUST_DOMAIN}/spire/agent/(?:join_token|tpm)/\\S+`);
        this.agentId = pattern.exec(listed.text)?.[0];
        if (this.agentId === undefined) throw new Error(`the attested agent is not listed: ${listed.text}`);
        this.narrator.ok(`bonafide-server agent list: ${this.agentId}`);
      },
    );
  }

  async registerWorkloads() {
    this.accounts = chooseAccounts(this);
    await this.narrator.step('Registering two workloads by what the kernel will say of them', async () => {
      for (const [name, { uid }] of Object.entries(this.accounts)) {
        const selectors = [`unix:uid:${uid}`, `unix:path:${this.binary(name)}`];
        installBinary(this.binary(name));
        await this.mustOperate(
          ...['entry', 'create', '--parent-id', NODE_ALIAS, '--spiffe-id', this.spiffeId(name)],
          ...selectors.flatMap((selector) => ['--selector', selector]),
          ...['--x509-svid-ttl', String(SVID_TTL_SECONDS)],
        );
        this.narrator.ok(`${this.spiffeId(name)} is for ${selectors.join(' and ')}`);
      }
      this.narrator.say(
        `their certificates live for ${SVID_TTL_SECONDS} seconds only, so that you can see them change`,
      );
    });
  }

  spiffeId(name) {
    return `spiffe://${TRUST_DOMAIN}/${name}`;
  }

  /** Node under the workload's own name: the agent tells workloads apart by the program they run. */
  binary(name) {
    return this.path('bin', name);
  }

  /** Options for starting a process as a workload. */
  asWorkload(name) {
    const { uid, gid } = this.accounts[name];
    const identity = uid === process.getuid() ? {} : { uid, gid };
    return {
      ...identity,
      cwd: root,
      env: { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${this.workloadSocket}` },
    };
  }

  start(name, command, args, options = {}) {
    const child = new Child(name, command, args, { cwd: root, ...options });
    this.#children.push(child);
    return child;
  }

  /** Runs a command of the server's command line, as an operator would. */
  operator(...args) {
    return run(process.execPath, [program('server'), ...args, '--socket-path', this.adminSocket], {
      cwd: root,
    });
  }

  async mustOperate(...args) {
    const result = await this.operator(...args);
    if (!result.isOk)
      throw new Error(`bonafide-server ${args.join(' ')} ended with ${result.ending}: ${result.text}`);
    return result;
  }

  /** Asks again until the answer is truthy, while every process of the story still runs. */
  async waitFor(what, ask, limitMs = 90_000) {
    const started = performance.now();
    while (performance.now() - started < limitMs) {
      this.#signal.throwIfAborted();
      for (const child of this.#children) child.mustRun();
      const answer = await ask();
      if (answer) return answer;
      await sleep(100, undefined, { signal: this.#signal });
    }
    throw new Error(`gave up waiting for ${what} after ${limitMs / 1000} s`);
  }

  /** Until Ctrl-C, or until a process ends that should not. */
  async waitForEnd() {
    await this.waitFor('Ctrl-C', () => this.#signal.aborted, Infinity).catch((error) => {
      if (!this.#signal.aborted) throw error;
    });
  }

  lastWords() {
    return this.#children.map(({ name, lines }) => ({ name, lines: lines.slice(-12) }));
  }

  /** Each process by its own id, the youngest first; then the folder. */
  async stop() {
    for (const child of this.#children.reverse()) await child.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Two users when this is root and they can read this folder; otherwise the one that runs this. */
function chooseAccounts(domain) {
  const own = { uid: process.getuid(), gid: process.getgid() };
  const canBeOthers = own.uid === 0 && Object.values(WORKLOAD_UIDS).every((uid) => canRun(uid, uid));
  if (own.uid === 0 && !canBeOthers)
    domain.narrator.say('other users cannot read this folder: the workloads run as root');
  return Object.fromEntries(
    Object.entries(WORKLOAD_UIDS).map(([name, uid]) => [name, canBeOthers ? { uid, gid: uid } : own]),
  );
}

function canRun(uid, gid) {
  const script = 'import("@bonafide/sdk").catch(() => { process.exitCode = 1; })';
  return (
    spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: root, uid, gid }).status === 0
  );
}

function installBinary(path) {
  try {
    linkSync(process.execPath, path);
  } catch {
    copyFileSync(process.execPath, path); // another file system, or somebody else's file
    chmodSync(path, 0o755);
  }
}

function serverConfig(domain) {
  return `# The server of the quickstart.
server:
  trust_domain: ${TRUST_DOMAIN}
  bind_address: 127.0.0.1
  bind_port: ${domain.port}
  socket_path: ${JSON.stringify(domain.adminSocket)}
  data_dir: ${JSON.stringify(domain.path('server'))}
plugins:
  KeyManager:
    disk:
      keys_path: ${JSON.stringify(domain.path('server', 'keys.json'))}
  NodeAttestor:
${domain.proof.serverConfig}`;
}

function agentConfig(domain) {
  return `# The agent of the quickstart.
agent:
  trust_domain: ${TRUST_DOMAIN}
  server_address: 127.0.0.1
  server_port: ${domain.port}
  socket_path: ${JSON.stringify(domain.workloadSocket)}
  data_dir: ${JSON.stringify(domain.path('agent'))}
  trust_bundle_path: ${JSON.stringify(domain.path('bundle.pem'))}
${domain.proof.agentConfig}  WorkloadAttestor:
    unix:
      discover_workload_path: true
`;
}

/** A port that is free now; the chance that somebody takes it in the next second is small. */
function findFreePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
