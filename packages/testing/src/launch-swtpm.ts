/** A real software TPM on a socket, with an endorsement certificate of an authority of its own: started, rebooted, and gone with the test. */
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LaunchedProcess } from './launched-process.js';
import { runProcess } from './run-command.js';
import { createTemporaryDirectory } from './temporary-directory.js';

const SETUP_LIMIT_MS = 120_000;
const READY_LIMIT_MS = 60_000;
/** __SO_ACCEPTCON of the kernel, as /proc/net/unix prints flags. */
const LISTENING = '00010000';
const HOW_TO_INSTALL = 'install swtpm and swtpm-tools (Debian: apt-get install swtpm swtpm-tools)';

type SwtpmBank = 'sha1' | 'sha256' | 'sha384' | 'sha512';

export interface LaunchSwtpmOptions {
  /** Where its state and its socket go, and stay when it stops; a temporary folder unless told. */
  readonly directory?: string;
  /** Banks with PCRs; sha1 and sha256 unless told. */
  readonly banks?: readonly SwtpmBank[];
  /** A folder for the authority of endorsement certificates, which several may share; one of its own unless told. */
  readonly authorityDirectory?: string;
}

export interface Swtpm extends AsyncDisposable {
  /** As `openTpmTransport` takes it. It serves one client at a time. */
  readonly path: string;
  /** The socket itself; tpm2-tools take it as `swtpm:path=…`. */
  readonly socketPath: string;
  readonly controlPath: string;
  readonly process: LaunchedProcess;
  /** For others whose certificates are to be of the same authority. */
  readonly authorityDirectory: string;
  /** DER: the issuer of its endorsement certificates, then the root. */
  readonly ekRoots: readonly Buffer[];
  /** Reboots the machine: PCRs as at power-on, resetCount one up. Who is connected loses the connection. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** For tests that need it: without it they are skipped, by name. */
export function swtpmIsInstalled(): boolean {
  return ['swtpm', 'swtpm_setup', 'swtpm_localca'].every(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0,
  );
}

/**
 * It has an RSA-2048 endorsement key at 0x81010001 and an EC P-384 one at 0x81010016, each with its certificate.
 * @throws Error saying what to install when there is no swtpm.
 * @example
 * await using swtpm = await launchSwtpm();
 * await using tpm = await TpmDevice.open({ path: swtpm.path });
 */
export async function launchSwtpm(options: LaunchSwtpmOptions = {}): Promise<Swtpm> {
  if (!swtpmIsInstalled()) throw new Error(`there is no software TPM on this machine: ${HOW_TO_INSTALL}`);
  const temporary = options.directory === undefined ? createTemporaryDirectory() : undefined;
  const directory = options.directory ?? temporary?.path ?? '';
  try {
    const authority = options.authorityDirectory ?? join(directory, 'authority');
    const state = join(directory, 'state');
    if (!existsSync(state)) await makeTpm(state, authority, directory, options.banks ?? ['sha1', 'sha256']);
    const socketPath = join(directory, 'tpm');
    const process = await startTpm(state, socketPath);
    return new RunningSwtpm(process, socketPath, {
      authorityDirectory: authority,
      ekRoots: await readRoots(authority),
      remove: () => temporary?.remove(),
    });
  } catch (error) {
    temporary?.remove();
    throw error;
  }
}

interface SwtpmFiles {
  readonly authorityDirectory: string;
  readonly ekRoots: readonly Buffer[];
  readonly remove: () => void;
}

class RunningSwtpm implements Swtpm {
  readonly process: LaunchedProcess;
  readonly path: string;
  readonly socketPath: string;
  readonly controlPath: string;
  readonly authorityDirectory: string;
  readonly ekRoots: readonly Buffer[];
  readonly #remove: () => void;

  constructor(
    process: LaunchedProcess,
    socketPath: string,
    { authorityDirectory, ekRoots, remove }: SwtpmFiles,
  ) {
    this.process = process;
    this.path = `unix:${socketPath}`;
    this.socketPath = socketPath;
    this.controlPath = `${socketPath}.ctrl`;
    this.authorityDirectory = authorityDirectory;
    this.ekRoots = ekRoots;
    this.#remove = remove;
  }

  async restart(): Promise<void> {
    await this.process.restart();
  }

  async stop(): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    this.#remove();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

async function makeTpm(
  state: string,
  authority: string,
  directory: string,
  banks: readonly SwtpmBank[],
): Promise<void> {
  await mkdir(authority, { recursive: true, mode: 0o700 });
  await mkdir(state, { recursive: true, mode: 0o700 });
  const config = (name: string): string => join(directory, name);
  await writeFile(
    config('localca.conf'),
    [
      `statedir = ${authority}`,
      `signingkey = ${join(authority, 'signkey.pem')}`,
      `issuercert = ${join(authority, 'issuercert.pem')}`,
      `certserial = ${join(authority, 'certserial')}`,
      '',
    ].join('\n'),
  );
  await writeFile(
    config('localca.options'),
    '--platform-manufacturer Bonafide\n--platform-version 1\n--platform-model test\n',
  );
  await writeFile(
    config('setup.conf'),
    [
      'create_certs_tool = swtpm_localca',
      `create_certs_tool_config = ${config('localca.conf')}`,
      `create_certs_tool_options = ${config('localca.options')}`,
      '',
    ].join('\n'),
  );
  const made = await runProcess(
    'swtpm_setup',
    [
      ...['--tpm2', '--config', config('setup.conf'), '--tpm-state', `dir://${state}`],
      ...['--create-ek-cert', '--create-platform-cert', '--lock-nvram', '--pcr-banks', banks.join(',')],
    ],
    { limitMs: SETUP_LIMIT_MS },
  );
  if (made.code === 0) return;
  await rm(state, { recursive: true, force: true });
  throw new Error(`swtpm_setup failed with code ${made.code ?? 'unknown'}:\n${made.stdout}${made.stderr}`);
}

function startTpm(state: string, socketPath: string): Promise<LaunchedProcess> {
  const socket = (path: string): string => `type=unixio,path=${path},mode=0600`;
  return LaunchedProcess.launch({
    name: 'swtpm',
    command: 'swtpm',
    args: [
      ...['socket', '--tpm2', '--tpmstate', `dir=${state}`, '--flags', 'not-need-init,startup-clear'],
      ...['--server', socket(socketPath), '--ctrl', socket(`${socketPath}.ctrl`)],
    ],
    readyLimitMs: READY_LIMIT_MS,
    isReady: () => isListening(socketPath),
  });
}

/** A connection to find out would count as its one client. */
async function isListening(path: string): Promise<boolean> {
  const sockets = (await readFile('/proc/net/unix', 'utf8')).split('\n').map((line) => line.split(/ +/));
  return sockets.some(([, , , flags, , , , bound]) => bound === path && flags === LISTENING);
}

async function readRoots(authority: string): Promise<readonly Buffer[]> {
  const files = ['issuercert.pem', 'swtpm-localca-rootca-cert.pem'];
  return Promise.all(
    files.map(async (file) => new X509Certificate(await readFile(join(authority, file))).raw),
  );
}
