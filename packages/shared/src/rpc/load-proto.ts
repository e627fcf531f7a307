/** Reads the contracts in proto/ at run time, each file once and only when it is first asked for. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadSync, type Options, type PackageDefinition } from '@grpc/proto-loader';

/** What a decoded message looks like; scripts/generate-rpc-types.mjs must say the same. */
const LOADER_OPTIONS: Options = {
  keepCase: false,
  longs: Number,
  enums: String,
  bytes: Buffer,
  defaults: true,
  oneofs: true,
  arrays: true,
  objects: true,
};

const protoFolder = dirname(createRequire(import.meta.url).resolve('@bonafide/proto/package.json'));
const loaded = new Map<string, PackageDefinition>();

/** @param file relative to proto/, for example `spire/api/types/entry.proto`. */
export function loadProto(file: string): PackageDefinition {
  const present = loaded.get(file);
  if (present !== undefined) return present;
  const definition = loadSync(join(protoFolder, file), { ...LOADER_OPTIONS, includeDirs: [protoFolder] });
  loaded.set(file, definition);
  return definition;
}
