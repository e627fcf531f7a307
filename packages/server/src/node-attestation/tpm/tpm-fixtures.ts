/** The `tpm` attestor before a machine with a software TPM, for tests: on a store of its own, trusting the maker of that TPM. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { TpmAnswer, TpmChallenge } from '@bonafide/shared/tpm/proof/tpm-evidence';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { SoftwareNode } from '@bonafide/testing/software-node';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { openStore } from '../../store/open-store.js';
import type { Store } from '../../store/store.js';
import type { NodeAttestor, NodeProof, ProvenNode } from '../node-attestor.js';
import { tpm } from './tpm.js';
import type { TpmConfig } from './tpm-config.js';

export const CSR_HASH = createHash('sha256').update('a CSR').digest();
export const CERTIFICATE_HASH = createHash('sha256').update('a certificate').digest();
export const LIMIT_MS = 120_000;

const fixture = (name: string): Buffer =>
  readFileSync(
    new URL(`../../../../shared/src/tpm/fixtures/${name}/binary_bios_measurements`, import.meta.url),
  );
export const SECURE_BOOT_ON = fixture('sb-on');
export const SECURE_BOOT_OFF = fixture('sb-off');

/** What a node says in place of the truth. */
export type Lie = (answer: TpmAnswer, challenge: TpmChallenge) => TpmAnswer | Promise<TpmAnswer>;

interface StageParts {
  readonly node: SoftwareNode;
  readonly store: Store;
  readonly directory: TemporaryDirectory;
}

export class TpmStage implements AsyncDisposable {
  readonly node: SoftwareNode;
  readonly store: Store;
  readonly directory: TemporaryDirectory;
  /** Later than the certificates, which were made before. */
  readonly clock = new FakeClock(new Date(systemClock.now().getTime() + 3_600_000));

  private constructor({ node, store, directory }: StageParts) {
    this.node = node;
    this.directory = directory;
    this.store = store;
  }

  static async launch(): Promise<TpmStage> {
    const directory = createTemporaryDirectory();
    const node = await SoftwareNode.launch({ authorityDirectory: directory.join('authority') });
    const pem = node.swtpm.ekRoots.map((der) => encodePem('CERTIFICATE', der)).join('');
    writeFileSync(directory.join('roots.pem'), pem);
    const store = await openStore({ path: directory.join('store.sqlite3'), log: silentLogger });
    return new TpmStage({ node, store, directory });
  }

  /** Another machine, with a TPM of the same maker. */
  launchOther(options: Parameters<typeof SoftwareNode.launch>[0] = {}): Promise<SoftwareNode> {
    return SoftwareNode.launch({ authorityDirectory: this.directory.join('authority'), ...options });
  }

  attestor(config: object = {}): Promise<NodeAttestor> {
    const parsed: TpmConfig = tpm.configSchema.parse({
      ek_roots: [this.directory.join('roots.pem')],
      ...config,
    });
    return Promise.resolve(
      tpm.create(parsed, {
        trustDomain: parseTrustDomain('example.org'),
        clock: this.clock,
        log: silentLogger,
        store: this.store,
        signal: new AbortController().signal,
      }),
    );
  }

  async attest(
    server: NodeAttestor,
    options: { readonly payload?: Buffer; readonly lie?: Lie; readonly record?: string | undefined } = {},
  ): Promise<ProvenNode & { readonly record: string }> {
    const proven = await server.attest({
      payload: options.payload ?? (await this.node.payload()),
      csrHash: CSR_HASH,
      now: this.clock.now(),
      challenge: this.node.answering(CSR_HASH, options.lie),
      recall: () => Promise.resolve(options.record),
    });
    return { ...proven, record: proven.record ?? '' };
  }

  async prove(
    server: NodeAttestor,
    { agentId, record }: { readonly agentId: ProvenNode['agentId']; readonly record: string | undefined },
    lie?: Lie,
  ): Promise<NodeProof> {
    if (server.continuous === undefined) throw new Error('the attestor proves nothing again');
    return server.continuous.prove({
      agentId,
      certificateHash: CERTIFICATE_HASH,
      record,
      now: this.clock.now(),
      challenge: this.node.answering(CERTIFICATE_HASH, lie),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
    await this.store.close();
    this.directory.remove();
  }
}

export function selectorsOf({ selectors }: Pick<ProvenNode, 'selectors'>): readonly string[] {
  return selectors.map(({ type, value }) => `${type}:${value}`);
}
