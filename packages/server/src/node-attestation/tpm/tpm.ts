/** The `tpm` node attestor: a machine is its TPM, proven by an endorsement key and by what the TPM signs of its boot. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { areSameBytes } from '@bonafide/shared/tpm/same-bytes';
import { checkAttestationKey } from '@bonafide/shared/tpm/proof/check-attestation-key';
import { parseTpmOffer } from '@bonafide/shared/tpm/proof/tpm-evidence';
import { parseTpmPublic, type TpmPublic } from '@bonafide/shared/tpm/tpm-public';
import type { NodeFinding } from '../../store/node-record.js';
import type {
  ContinuousProof,
  NodeAttestor,
  NodeAttestorPlugin,
  NodeEvidence,
  NodeProof,
  ProofEvidence,
  ProvenNode,
} from '../node-attestor.js';
import { EkTrust, type TrustedEk } from './ek-trust.js';
import { examineNode, type ExaminedNode } from './examine-node.js';
import { ekHashOf, tpmAgentId } from './tpm-agent-id.js';
import { tpmConfigSchema, type TpmConfig } from './tpm-config.js';
import { tpmFacts } from './tpm-facts.js';
import { TpmInterview } from './tpm-interview.js';
import { TpmPolicy } from './tpm-policy.js';
import { acceptShown, formatTpmRecord, parseTpmRecord, type TpmRecord } from './tpm-record.js';
import { tpmSelectors } from './tpm-selectors.js';

export const tpm: NodeAttestorPlugin<TpmConfig> = {
  configSchema: tpmConfigSchema,
  async create(config, host) {
    return new TpmAttestor({
      trustDomain: host.trustDomain,
      proof: config.proof,
      trust: await EkTrust.open(config, host),
      policy: await TpmPolicy.open(config.policy, host),
    });
  },
};

interface TpmAttestorParts {
  readonly trustDomain: TrustDomain;
  readonly proof: TpmConfig['proof'];
  readonly trust: EkTrust;
  readonly policy: TpmPolicy;
}

class TpmAttestor implements NodeAttestor {
  readonly continuous: ContinuousProof;
  readonly #parts: TpmAttestorParts;

  constructor(parts: TpmAttestorParts) {
    this.#parts = parts;
    this.continuous = {
      ...parts.proof,
      prove: (evidence) => this.#prove(evidence),
      accept: (record) => formatTpmRecord(acceptShown(parseTpmRecord(record))),
      facts: (record) => tpmFacts(parseTpmRecord(record)),
    };
  }

  async attest({ payload, csrHash, now, challenge, recall }: NodeEvidence): Promise<ProvenNode> {
    const { trust, trustDomain } = this.#parts;
    const offer = parseTpmOffer(payload);
    const ek = await trust.check(offer, now);
    const ak = parseTpmPublic(offer.akPublic);
    checkAttestationKey(ak);
    const id = tpmAgentId(trustDomain, ek.hash);
    const text = await recall(id);
    const known = text === undefined ? undefined : parseTpmRecord(text);
    checkPinnedKey(known, ak, ek.hash);
    const interview = new TpmInterview({ ak, boundHash: csrHash, challenge }, false);
    const examined = await this.#examine(interview, known, ek.public);
    const record = recordAfter(known, examined, {
      akPublic: ak.raw.toString('base64'),
      ek: ekFacts(ek),
    });
    return {
      agentId: id,
      selectors: tpmSelectors(ek.hash, record, (await this.#parts.policy.current()).config),
      canReattest: true,
      record: formatTpmRecord(record),
      findings: examined.findings,
      spend: (transaction) => trust.confirm(ek, transaction),
    };
  }

  async #prove(evidence: ProofEvidence): Promise<NodeProof> {
    const { trust, policy } = this.#parts;
    const known = evidence.record === undefined ? undefined : parseTpmRecord(evidence.record);
    if (known?.akPublic === undefined) {
      throw new BonafideError(
        'agent_must_reattest',
        'no attestation key is known of this TPM; the agent sets one when it attests',
      );
    }
    const ekHash = ekHashOf(evidence.agentId);
    const ak = parseTpmPublic(Buffer.from(known.akPublic, 'base64'));
    const { certificateHash: boundHash, challenge } = evidence;
    const examined = await this.#examine(new TpmInterview({ ak, boundHash, challenge }, true), known);
    const findings: NodeFinding[] = [...examined.findings];
    if (!(await trust.isStillTrusted(ekHash, known.ek.isCertified))) {
      findings.push({ kind: 'policy', text: `the EK hash ${ekHash} is no longer on the allow-list` });
    }
    const record = recordAfter(known, { ...examined, findings }, known);
    return {
      record: formatTpmRecord(record),
      selectors: tpmSelectors(ekHash, record, (await policy.current()).config),
      findings,
    };
  }

  async #examine(
    interview: TpmInterview,
    known: TpmRecord | undefined,
    ek?: TpmPublic,
  ): Promise<ExaminedNode> {
    return examineNode({
      interview,
      ek,
      expected: known?.expected,
      isInDoubt: known?.shown !== undefined,
      policy: await this.#parts.policy.current(),
    });
  }
}

/** The key is derived from the TPM's seed: another one is another TPM, or one whose seed an operator changed. */
function checkPinnedKey(known: TpmRecord | undefined, ak: TpmPublic, ekHash: string): void {
  if (known?.akPublic === undefined || areSameBytes(Buffer.from(known.akPublic, 'base64'), ak.raw)) return;
  throw new BonafideError(
    'permission_denied',
    `the TPM ${ekHash} is known with another attestation key; if that is meant to be, run bonafide-server tpm rekey`,
  );
}

function ekFacts({ certified }: TrustedEk): TpmRecord['ek'] {
  return {
    isCertified: certified !== undefined,
    authorities: [...(certified?.authorities ?? [])],
    ...(certified?.manufacturer === undefined ? {} : { manufacturer: certified.manufacturer }),
  };
}

/** The same text as before for a machine that has not changed, which then need not be written. */
function recordAfter(
  known: TpmRecord | undefined,
  { state, findings }: ExaminedNode,
  { akPublic, ek }: Pick<TpmRecord, 'akPublic' | 'ek'>,
): TpmRecord {
  const common = { version: 1, akPublic, ek } as const;
  if (known === undefined) return { ...common, expected: state };
  if (findings.length > 0) return { ...common, expected: known.expected, shown: state };
  const isSame = JSON.stringify({ ...state, clock: '' }) === JSON.stringify({ ...known.expected, clock: '' });
  return { ...common, expected: isSame ? known.expected : state };
}
