/** The package as npm users get it, short of npm's own work: its tarball unpacked into a folder elsewhere, compiled against, run, and measured. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { programVersion } from '@bonafide/shared/runtime/program-version';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { TestWorkloadApi } from '@bonafide/testing/test-workload-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..', '..', '..');
const LIMIT_MS = 240_000;

let directory: TemporaryDirectory;
let project: string;

beforeAll(async () => {
  directory = createTemporaryDirectory();
  project = directory.join('project');
  mkdirSync(project);
  await run(process.execPath, [join(root, 'scripts', 'pack-sdk.mjs'), directory.path], { timeout: LIMIT_MS });
  // npm is not asked to install, for it would fetch the dependencies, and not every reader has a registry: they are linked.
  const target = join(project, 'node_modules', '@bonafide', 'sdk');
  mkdirSync(target, { recursive: true });
  const tarball = directory.join(`bonafide-sdk-${programVersion()}.tgz`);
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', target]);
  const { dependencies } = readManifest();
  for (const name of [
    ...Object.keys(dependencies),
    '@types/node',
    '@types/express',
    'express',
    'fastify',
    'undici',
  ]) {
    const link = join(project, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), link);
  }
}, LIMIT_MS);

afterAll(() => {
  directory.remove();
});

interface Manifest {
  readonly private?: boolean;
  readonly dependencies: Readonly<Record<string, string>>;
}

function readManifest(): Manifest {
  const file = join(project, 'node_modules', '@bonafide', 'sdk', 'package.json');
  return JSON.parse(readFileSync(file, 'utf8')) as Manifest;
}

function node(file: string, code: string, env: Record<string, string> = {}): ReturnType<typeof runProcess> {
  writeFileSync(join(project, file), code);
  return runProcess(process.execPath, [join(project, file)], { env, limitMs: LIMIT_MS });
}

describe('the published package', { timeout: LIMIT_MS }, () => {
  it('needs gRPC and nothing else, and may be published', () => {
    const manifest = readManifest();
    expect(Object.keys(manifest.dependencies)).toEqual(['@grpc/grpc-js', '@grpc/proto-loader']);
    expect(manifest.private).toBeUndefined();
  });

  it('compiles into a strict project, with what it adds to requests of Express and Fastify', async () => {
    writeFileSync(join(project, 'package.json'), '{"type":"module"}');
    writeFileSync(
      join(project, 'app.ts'),
      `import express from 'express';
import Fastify from 'fastify';
import { authorizeMemberOf, BundleSource, createHttpsServer, X509Source, type SpiffeId } from '@bonafide/sdk';
import { requireSpiffeId } from '@bonafide/sdk/express';
import { spiffePlugin } from '@bonafide/sdk/fastify';
import { createFetchDispatcher } from '@bonafide/sdk/undici';
const source: X509Source = await X509Source.create();
const bundles: BundleSource = await BundleSource.create();
const authorizer = authorizeMemberOf('example.org');
const app = express();
app.use(requireSpiffeId({ authorizer, jwt: { trust: bundles, audience: 'x' } }));
app.get('/', (request, response) => { const id: SpiffeId | undefined = request.spiffeId; response.send(id); });
createHttpsServer(source, authorizer, app);
const fastify = Fastify({ serverFactory: (handler) => createHttpsServer(source, authorizer, handler) });
await fastify.register(spiffePlugin, { authorizer });
fastify.get('/', (request) => { const id: SpiffeId | undefined = request.spiffeId; return id; });
createFetchDispatcher(bundles, { authorize: authorizer });
// @ts-expect-error a SPIFFE ID is parsed, not asserted
const wrong: SpiffeId = 'spiffe://example.org/x';
console.log(wrong);
`,
    );
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const options = [
      '--strict',
      '--exactOptionalPropertyTypes',
      '--module',
      'nodenext',
      '--target',
      'es2023',
    ];
    const rest = [
      '--skipLibCheck',
      '--noEmit',
      '--types',
      'node',
      '--lib',
      'es2023,esnext.disposable',
      'app.ts',
    ];
    const { stdout } = await run(process.execPath, [tsc, ...options, ...rest], { cwd: project }).catch(
      (error: unknown) => error as { stdout: string },
    );
    expect(stdout).toBe('');
  });

  it('runs against a Workload API', async () => {
    const authority = await TestAuthority.create('example.org');
    await using api = await TestWorkloadApi.start(directory.join('api.sock'));
    api.serve({ svids: [await authority.issueX509Svid('/web')], bundles: [authority.bundle()] });
    const code = `import { X509Source } from '@bonafide/sdk';
const source = await X509Source.create();
console.log(source.svid.spiffeId);
await source.close();`;
    const { stdout, stderr } = await node('run.mjs', code, { SPIFFE_ENDPOINT_SOCKET: api.address });
    expect({ stdout, stderr }).toEqual({ stdout: 'spiffe://example.org/web\n', stderr: '' });
  });

  it('loads gRPC and what reads its contracts, no native code, and undici only with its own entry', async () => {
    const code = `import { createRequire } from 'node:module';
await import('@bonafide/sdk');
await import('@bonafide/sdk/express');
await import('@bonafide/sdk/fastify');
const files = Object.keys(createRequire(import.meta.url).cache).filter((file) => !file.includes('/@bonafide/sdk/'));
const names = files.map((file) => /.*node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(file)?.[1]);
console.log(JSON.stringify({ names: [...new Set(names)].sort(), native: files.filter((file) => file.endsWith('.node')) }));`;
    const { stdout, stderr } = await node('graph.mjs', code);
    expect(stderr).toBe('');
    const { names, native } = JSON.parse(stdout) as { names: string[]; native: string[] };
    expect(native).toEqual([]);
    const known = ['@grpc/grpc-js', '@grpc/proto-loader', '@js-sdsl/ordered-map', 'lodash.camelcase', 'long'];
    expect(
      names.filter((name) => !known.includes(name) && !/^@?protobufjs$/.test(name.split('/')[0] ?? '')),
    ).toEqual([]);
    const bare = /from '(?!\.|node:)([^']+)'/g;
    const entry = readFileSync(join(project, 'node_modules/@bonafide/sdk/dist/index.js'), 'utf8');
    expect([...entry.matchAll(bare)]).toEqual([]);
  });
});
