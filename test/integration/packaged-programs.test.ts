import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { programVersion } from '@bonafide/shared/runtime/program-version';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { waitFor } from '@bonafide/testing/wait-for';

const repository = join(import.meta.dirname, '..', '..');
const dockerfiles = join(repository, 'deploy', 'docker');
const PROGRAMS = ['server', 'agent', 'oidc'] as const;
/** On a busy machine. */
const PACKAGING_LIMIT_MS = 300_000;

let folder: TemporaryDirectory;

beforeAll(() => {
  folder = createTemporaryDirectory();
  const script = join(repository, 'scripts', 'package.mjs');
  execFileSync(process.execPath, [script, '--output', folder.join('package')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}, PACKAGING_LIMIT_MS);

afterAll(() => {
  folder.remove();
});

/** With nothing of this repository in reach. */
function run(program: string, ...args: readonly string[]) {
  return spawnSync(process.execPath, [folder.join('package', program, 'main.js'), ...args], {
    cwd: folder.path,
    encoding: 'utf8',
    env: {},
  });
}

describe('the bundles', () => {
  it.each(PROGRAMS)('run bonafide-%s from any folder', (program) => {
    const version = run(program, '--version');
    expect(version.stderr).toBe('');
    expect(version.stdout).toBe(`${programVersion()}\n`);
    const config = join(repository, 'deploy', 'config', `${program}.yaml`);
    expect(run(program, 'validate', '--config', config).stdout).toContain('is valid');
  });

  it('serve: the database driver, the contracts and the signing threads are with them', async () => {
    const socket = folder.join('api.sock');
    const config = {
      server: {
        ...{ trust_domain: 'example.org', bind_address: '127.0.0.1', bind_port: 0, socket_path: socket },
        data_dir: folder.join('data'),
        log_level: 'DEBUG',
        experimental: { signing_threads: 1 },
      },
      plugins: { KeyManager: { memory: {} }, NodeAttestor: { join_token: {} } },
    };
    writeFileSync(folder.join('server.json'), JSON.stringify(config));
    await using server = await LaunchedProcess.launch({
      name: 'packaged server',
      command: process.execPath,
      args: [folder.join('package', 'server', 'main.js'), 'run', '--config', folder.join('server.json')],
      isReady: () => existsSync(socket),
      readyLimitMs: 60_000,
    });
    expect(run('server', 'entry', 'count', '--socket-path', socket)).toMatchObject({ stderr: '', status: 0 });
    const mint = ['x509', 'mint', '--spiffe-id', 'spiffe://example.org/web', '--socket-path', socket];
    expect(run('server', ...mint).stdout).toContain('BEGIN CERTIFICATE');
    await waitFor('a signing thread to be ready', () => server.output.includes('a signing thread is ready'));
    await server.stop();
  });

  it.each(PROGRAMS)('of bonafide-%s carry the licences of all that is in them', (program) => {
    const notice = readFileSync(folder.join('package', program, 'NOTICE'), 'utf8');
    for (const name of ['@grpc/grpc-js', 'protobufjs', 'pino', 'koffi']) {
      expect(notice).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(`, 'mu'));
    }
    expect(notice).not.toContain('@bonafide/');
  });

  it('keep the names of functions, and maps to the sources', () => {
    const text = readFileSync(folder.join('package', 'server', 'main.js'), 'utf8');
    expect(text).toContain('runServerProgram');
    expect(text).toMatch(/\/\/# sourceMappingURL=main\.js\.map\s*$/u);
    expect(existsSync(folder.join('package', 'server', 'main.js.map'))).toBe(true);
  });
});

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

function instructions(program: string): readonly Instruction[] {
  return readFileSync(join(dockerfiles, `${program}.Dockerfile`), 'utf8')
    .replaceAll(/\\\n/gu, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', rest = ''] = /^([A-Z]+) (.*)$/u.exec(line) ?? [];
      return { name, rest };
    });
}

describe.each(PROGRAMS)('the Dockerfile of bonafide-%s', (program) => {
  it('ends without a shell and without root, on images of a named version', () => {
    const lines = instructions(program);
    const known = [
      'ARG',
      'FROM',
      'WORKDIR',
      'COPY',
      'RUN',
      'USER',
      'EXPOSE',
      'ENV',
      'HEALTHCHECK',
      'ENTRYPOINT',
      'CMD',
    ];
    expect(lines.filter(({ name }) => !known.includes(name))).toEqual([]);
    const bases = lines.filter(({ name }) => name === 'FROM').map(({ rest }) => rest);
    expect(bases).toEqual([
      expect.stringMatching(/^docker\.io\/library\/node:\$\{NODE_VERSION\}-\$\{DEBIAN\} AS build$/u),
      expect.stringMatching(/^gcr\.io\/distroless\/nodejs\d+-debian\d+:nonroot$/u),
    ]);
    expect(lines).toContainEqual({
      name: 'ARG',
      rest: expect.stringMatching(/^NODE_VERSION=\d+\.\d+\.\d+$/u) as string,
    });
    expect(lines.filter(({ name }) => name === 'USER')).toEqual([{ name: 'USER', rest: 'nonroot' }]);
    for (const { name, rest } of lines.filter(({ name }) => name === 'ENTRYPOINT' || name === 'CMD')) {
      expect(Array.isArray(JSON.parse(rest)), `${name} starts no shell`).toBe(true);
    }
  });

  it('copies nothing that is not there, and nothing that .dockerignore keeps out', () => {
    const kept = readFileSync(join(repository, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copies = instructions(program).filter(({ name }) => name === 'COPY');
    expect(copies.length).toBeGreaterThan(5);
    for (const { rest } of copies) {
      const words = rest.split(' ');
      const sources = words.filter((word) => !word.startsWith('--')).slice(0, -1);
      const isBuilt = words.some((word) => word === '--from=build');
      for (const source of sources) {
        const place = source
          .replace(/^\/out\//u, `${folder.join('package')}/`)
          .replace(/^\/build\//u, `${repository}/`);
        if (source.startsWith('/empty/')) continue;
        if (!isBuilt)
          expect(
            kept.some((path) => source === path || source.startsWith(`${path}/`)),
            source,
          ).toBe(true);
        expect(existsSync(isBuilt ? place : join(repository, source)), source).toBe(true);
      }
    }
    expect(readdirSync(folder.join('package', program))).toContain('main.js');
  });
});
