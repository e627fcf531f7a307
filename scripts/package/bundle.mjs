// Bundles the programs out of their sources: for each a folder that runs wherever it is put, with nothing else of the repository.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import * as esbuild from 'esbuild';
import { copyContracts, copyNativeModules } from './shipped-beside.mjs';
import { notice } from './notice.mjs';

const root = dirname(dirname(import.meta.dirname));

/** What is not bundled: libraries with machine code, and one that the driver of PostgreSQL can do without. */
const NATIVE = {
  server: ['better-sqlite3', 'better-sqlite3-node-api', 'koffi'],
  agent: ['koffi'],
  oidc: ['koffi'],
};
const NEVER_THERE = ['pg-native'];

/** Programs besides main.js that one starts by their file's name, so that it keeps it. */
const THREADS = { server: { 'signing-thread-main': 'issuance/threads/signing-thread-main.ts' } };

const PROGRAMS = Object.keys(NATIVE);

/**
 * @param folder gets `server/`, `agent/` and `oidc/`, anew.
 * @returns for each program its folder and how much it holds.
 */
export async function bundlePrograms(folder, programs = PROGRAMS) {
  return Promise.all(programs.map((program) => bundle(program, join(folder, program))));
}

async function bundle(program, folder) {
  const source = join(root, 'packages', program, 'src');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const threads = Object.entries(THREADS[program] ?? {}).map(([name, file]) => [name, join(source, file)]);
  const { metafile } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: Object.fromEntries([['main', join(source, 'main.ts')], ...threads]),
    outdir: folder,
    bundle: true,
    // Commands are loaded when they are the ones that run; so are their chunks.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    conditions: ['@bonafide/source'],
    mainFields: ['module', 'main'],
    chunkNames: 'chunk-[hash]',
    external: [...NATIVE[program], ...NEVER_THERE],
    // Names stay, so that a stack can be read without a map.
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    metafile: true,
    logLevel: 'error',
    banner: {
      // For bundled CommonJS modules that ask for a module of Node's.
      js: `import{createRequire as createBundleRequire}from'node:module';const require=createBundleRequire(import.meta.url);`,
    },
    plugins: [inlineManifests],
  });
  checkFilesAreKnown(metafile, folder);
  const { version } = manifestOf(join(root, 'packages', program));
  const manifest = { name: `bonafide-${program}`, version, type: 'module', license: 'Apache-2.0' };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  copyContracts(folder);
  const native = copyNativeModules(NATIVE[program], folder);
  writeFileSync(join(folder, 'NOTICE'), notice(program, [...packagesOf(metafile), ...native]));
  return { program, folder, files: Object.keys(metafile.outputs).length };
}

/** The version of a program is part of its bundle: there is no package two folders up. */
const inlineManifests = {
  name: 'inline-manifests',
  setup(build) {
    build.onLoad({ filter: /packages[\\/][a-z]+[\\/]src[\\/].*\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const contents = text.replace(
        /createRequire\(import\.meta\.url\)\(\s*'([./]+)\/package\.json'\s*\)/g,
        (_, up) => {
          const { name, version } = manifestOf(join(dirname(path), up));
          return `(${JSON.stringify({ name, version })})`;
        },
      );
      return { contents, loader: 'ts' };
    });
  },
};

/** Of our own modules: each other file that one finds by its own place has to be put there, by a line above. */
const KNOWN_PLACES = [
  "createRequire(import.meta.url).resolve('@bonafide/proto/package.json')",
  "createRequire(import.meta.url)('koffi')",
  "new URL('signing-thread-main.js', import.meta.url)",
];

function checkFilesAreKnown(metafile) {
  for (const input of Object.keys(metafile.inputs).filter((path) => /^packages\/[a-z]+\/src\//.test(path))) {
    let text = readFileSync(join(root, input), 'utf8');
    for (const place of KNOWN_PLACES) text = text.replaceAll(place, '');
    text = text.replace(/createRequire\(import\.meta\.url\)\(\s*'[./]+\/package\.json'\s*\)/g, '');
    if (/import\.meta\.(url|dirname|filename|resolve)/.test(text)) {
      throw new Error(
        `${input} looks for a file beside itself, which a bundle does not have; see scripts/package/bundle.mjs`,
      );
    }
  }
}

function packagesOf(metafile) {
  const folders = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const [, folder] = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
    if (folder !== undefined) folders.add(join(root, folder));
  }
  return [...folders];
}

function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

export function describe({ program, folder, files }) {
  return `${program}: ${relative(process.cwd(), folder)} (${files} files of the bundle)`;
}
