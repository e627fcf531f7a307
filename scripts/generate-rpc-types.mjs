// Writes TypeScript types for every message and service of proto/ into packages/shared/src/rpc/gen; does nothing when
// the inputs are those of the last time.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const root = dirname(import.meta.dirname);
const protoFolder = join(root, 'proto');
const target = join(root, 'packages', 'shared', 'src', 'rpc', 'gen');
const stampName = '.inputs.sha256';

/** Must say the same as LOADER_OPTIONS in packages/shared/src/rpc/load-proto.ts, which reads the files at run time. */
const OPTIONS = [
  '--longs=Number',
  '--enums=String',
  '--bytes=Buffer',
  '--defaults',
  '--oneofs',
  '--arrays',
  '--objects',
  '--grpcLib=@grpc/grpc-js',
  '--targetFileExtension=.ts',
  '--importFileExtension=.js',
];

generate();

function generate() {
  const protoFiles = findProtoFiles();
  const stamp = stampOf(protoFiles);
  const stampFile = join(target, stampName);
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;

  // Made aside and moved into place, so that nobody compiles half of it.
  const fresh = join(root, '.cache', `rpc-types-${process.pid}`);
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  try {
    execFileSync(
      process.execPath,
      [generatorPath(), ...OPTIONS, `--includeDirs=${protoFolder}`, `--outDir=${fresh}`, ...protoFiles],
      { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
    );
    removePackageTrees(fresh);
    writeFileSync(join(fresh, stampName), stamp);
    replaceFolder(fresh, target);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Another run may finish at the same time with the same result, so a target that has come back is removed again. */
function replaceFolder(from, to) {
  for (let attempt = 1; ; attempt += 1) {
    rmSync(to, { recursive: true, force: true });
    try {
      renameSync(from, to);
      return;
    } catch (error) {
      if (error.code !== 'ENOTEMPTY' || attempt === 5) throw error;
    }
  }
}

/** Relative to proto/ with forward slashes, sorted. */
function findProtoFiles() {
  return readdirSync(protoFolder, { recursive: true })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.proto') && !path.includes('node_modules/'))
    .sort();
}

function stampOf(protoFiles) {
  const hash = createHash('sha256');
  const inputs = [
    import.meta.filename,
    generatorPath(),
    ...protoFiles.map((path) => join(protoFolder, path)),
  ];
  for (const path of protoFiles) hash.update(`${path}\n`);
  for (const path of inputs) hash.update(readFileSync(path)).update('\0');
  return hash.digest('hex');
}

function generatorPath() {
  const manifest = createRequire(import.meta.url).resolve('@grpc/proto-loader/package.json');
  return join(dirname(manifest), 'build', 'bin', 'proto-loader-gen-types.js');
}

/** For each file name the generator also writes the tree of its packages; nothing needs it, see load-service.ts. */
function removePackageTrees(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isFile() && readFileSync(path, 'utf8').includes('export interface ProtoGrpcType')) rmSync(path);
  }
}
