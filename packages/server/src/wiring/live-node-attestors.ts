/** The node attestors of the configuration: a reload makes anew those whose keys changed, and those that read files. */
import { changedKeys } from '@bonafide/shared/config/config-changes';
import type { LivePart } from '@bonafide/shared/config/live-config';
import type { ServerConfig } from '../configuration/server-config.js';
import { createNodeAttestors, type NodeAttestorsConfig } from '../node-attestation/attestors.js';
import type { NodeAttestor, NodeAttestorHost } from '../node-attestation/node-attestor.js';

/** Roots, allow-lists and policies stand in files, which may have changed although the configuration has not. */
const READ_FILES: readonly string[] = ['tpm', 'tpm_devid', 'x509pop', 'sshpop'];

export async function startNodeAttestors(
  config: NodeAttestorsConfig,
  host: NodeAttestorHost,
): Promise<{ readonly attestors: Map<string, NodeAttestor>; readonly part: LivePart<ServerConfig> }> {
  const attestors = new Map<string, NodeAttestor>();
  const ends = new Map<string, AbortController>();
  /** Made for a reload that was refused after all. */
  let unused: AbortController[] = [];
  let current: NodeAttestorsConfig = {};

  /** @returns what puts them in the place of those before; until then both are there. */
  const prepare = async (next: NodeAttestorsConfig): Promise<() => void> => {
    for (const end of unused.splice(0)) end.abort();
    const changed = new Set(changedKeys(current, next).map((key) => key.split('.')[0] ?? ''));
    const made = new Map<string, { readonly attestor: NodeAttestor; readonly end: AbortController }>();
    for (const type of Object.keys(next) as (keyof NodeAttestorsConfig)[]) {
      if (next[type] === undefined || !(changed.has(type) || READ_FILES.includes(type))) continue;
      const end = new AbortController();
      unused.push(end);
      const signal = AbortSignal.any([host.signal, end.signal]);
      const created = await createNodeAttestors({ [type]: next[type] }, { ...host, signal });
      for (const [name, attestor] of created) made.set(name, { attestor, end });
    }
    return () => {
      for (const type of Object.keys(current)) {
        if (!Object.hasOwn(next, type) || made.has(type)) ends.get(type)?.abort();
        if (!Object.hasOwn(next, type)) attestors.delete(type);
      }
      for (const [type, { attestor, end }] of made) {
        attestors.set(type, attestor);
        ends.set(type, end);
      }
      unused = [];
      current = next;
    };
  };

  (await prepare(config))();
  const part: LivePart<ServerConfig> = {
    name: 'node attestors',
    keys: ['plugins.NodeAttestor'],
    prepare: ({ plugins }) => prepare(plugins.NodeAttestor),
  };
  return { attestors, part };
}
