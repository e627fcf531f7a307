/** What a page finds when it is run: a clean folder, the real programs by their names, and real things behind the names that it uses. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { findFreePort } from '@bonafide/testing/free-port';
import { FAST_SETTINGS, launchPostgres } from '@bonafide/testing/launch-postgres';
import { launchSwtpm } from '@bonafide/testing/launch-swtpm';
import { postgresProgram } from '@bonafide/testing/postgres-programs';
import { programPath } from '@bonafide/testing/program-path';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { findEnvoy } from '../../interop/envoy-program.js';
import { findHelm } from '../../interop/helm-program.js';
import { root, type PageSettings } from './read-document.js';
import { makeSpireDataFolder } from './spire-data-folder.js';

const FINDERS: Readonly<Record<string, () => string | undefined>> = { envoy: findEnvoy, helm: findHelm };
/** Where programs look when nothing else is said. */
const SOCKET_FOLDERS = ['/tmp/spire-server', '/tmp/spire-agent'];

/** The project's own tools are among the programs of this machine, however the tests were started. */
const PATH_HERE = [join(root, 'node_modules', '.bin'), process.env['PATH'] ?? ''].join(delimiter);

/** The programs that are not on this machine. */
export function missingPrograms({ needs = [] }: PageSettings): readonly string[] {
  return needs.filter((name) => findProgram(name) === undefined);
}

function findProgram(name: string): string | undefined {
  const find = FINDERS[name];
  if (find !== undefined) return find();
  const env = { ...process.env, PATH: PATH_HERE };
  const path = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8', env }).stdout.trim();
  return path === '' ? undefined : path;
}

export class PageSurroundings implements AsyncDisposable {
  /** The reader's folder. */
  readonly folder: string;
  readonly environment: Record<string, string>;
  readonly #outer: TemporaryDirectory;
  readonly #replacements = new Map<string, string>();
  readonly #things: AsyncDisposable[] = [];

  private constructor(outer: TemporaryDirectory) {
    this.#outer = outer;
    this.folder = outer.join('work');
    const programs = outer.join('bin');
    const socket = (folder: string): string => outer.join(folder, 'api.sock');
    this.environment = {
      HOME: outer.join('home'),
      PATH: [programs, PATH_HERE].join(delimiter),
      SPIRE_SERVER_PRIVATE_SOCKET: socket('spire-server/private'),
      SPIRE_AGENT_PUBLIC_SOCKET: socket('spire-agent/public'),
    };
    for (const folder of [this.folder, programs, outer.join('home')]) mkdirSync(folder);
    for (const name of ['node_modules', 'deploy']) symlinkSync(join(root, name), join(this.folder, name));
    this.#addProgram('server', socket('spire-server/private'));
    this.#addProgram('agent', socket('spire-agent/public'));
    this.#addProgram('oidc', '');
  }

  static async create(settings: PageSettings): Promise<PageSurroundings> {
    const made = new PageSurroundings(createTemporaryDirectory({ isPublic: true }));
    try {
      await made.#addThings(settings);
    } catch (error) {
      await made[Symbol.asyncDispose]();
      throw error;
    }
    return made;
  }

  /** Ports, folders and names of the page, as they are here. */
  translate(text: string): string {
    if (this.#replacements.size === 0) return text;
    const names = [...this.#replacements.keys()].toSorted((a, b) => b.length - a.length);
    const escaped = names.map((name) => name.replaceAll(/[.?*+^$()[\]{}|\\]/g, String.raw`\$&`));
    const anyName = new RegExp(String.raw`(?<![\w.-])(?:${escaped.join('|')})(?![\w-])`, 'g');
    return text.replaceAll(anyName, (name) => this.#replacements.get(name) ?? name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const thing of this.#things.toReversed()) await thing[Symbol.asyncDispose]();
    this.#outer.remove();
  }

  async #addThings({
    folders = [],
    needs = [],
    ports = [],
    postgres,
    spire,
    tpm,
  }: PageSettings): Promise<void> {
    for (const port of ports) this.#replacements.set(String(port), String(await findFreePort()));
    for (const folder of [...SOCKET_FOLDERS, ...folders]) {
      const here = this.#outer.join(folder.replace(/^\/(tmp\/)?/, ''));
      this.#replacements.set(folder, here);
      if (!SOCKET_FOLDERS.includes(folder)) mkdirSync(here, { recursive: true });
    }
    if (spire !== undefined) await makeSpireDataFolder(this.translate(spire));
    for (const name of needs) this.#link(findProgram(name), name);
    if (postgres !== undefined) {
      mkdirSync(this.#outer.join('database'));
      const directory = this.#outer.join('database');
      const database = await launchPostgres({ directory, settings: FAST_SETTINGS });
      this.#things.push(database);
      this.#replacements.set(postgres, await database.createDatabase('registry'));
      this.#link(postgresProgram('psql'), 'psql');
    }
    if (tpm !== undefined) {
      mkdirSync(this.#outer.join('tpm'));
      const device = await launchSwtpm({ directory: this.#outer.join('tpm') });
      this.#things.push({ [Symbol.asyncDispose]: () => device.stop() });
      this.#replacements.set(tpm, device.path);
      this.environment['TPM2TOOLS_TCTI'] = `swtpm:path=${device.socketPath}`;
    }
  }

  /** Beside sockets of other tests: `run` listens in the page's own folder, unless its configuration says where. */
  #addProgram(name: 'server' | 'agent' | 'oidc', socketPath: string): void {
    const start = `exec ${process.execPath} ${programPath(name)} "$@"`;
    const here =
      socketPath === ''
        ? ''
        : `case "$*" in run*socket*) ;; run*) set -- "$@" --socket-path ${socketPath};; esac\n`;
    const ofFile = 'for word in "$@"; do if [ -f "$word" ] && grep -q "^ *socket_path:" "$word"; then\n';
    this.#write(`bonafide-${name}`, `#!/bin/sh\n${ofFile}${start}\nfi; done\n${here}${start}\n`);
  }

  #link(path: string | undefined, name: string): void {
    if (path !== undefined) this.#write(name, `#!/bin/sh\nexec ${path} "$@"\n`);
  }

  #write(name: string, script: string): void {
    const path = this.#outer.join('bin', name);
    if (existsSync(path)) return;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, script);
    chmodSync(path, 0o755);
  }
}
