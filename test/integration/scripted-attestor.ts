/** A node attestor for tests, by trust alone: a node is who it says it is, and in the state that it says. */
import { randomBytes } from 'node:crypto';
import type { NodeAttestor, NodeAttestorHost } from '@bonafide/server/node-attestation/node-attestor';
import type { NodeFinding } from '@bonafide/server/store/node-record';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { createSelector, type Selector } from '@bonafide/shared/registration/selector';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';

/** What a node says of itself; `state` is whatever must not change. */
export interface ScriptedNode {
  readonly name: string;
  readonly state: string;
  readonly selectors?: readonly string[];
}

export interface ScriptedSettings {
  readonly intervalSeconds?: number;
  readonly deadlineSeconds?: number;
  readonly canReattest?: boolean;
  readonly isTrustedOnFirstUse?: boolean;
  /** In which alone a node that is new may be. */
  readonly golden?: string;
}

interface Held {
  readonly meant: string;
  readonly shown: string;
}

/** What the agent answers to a challenge. */
export interface ScriptedAnswer extends ScriptedNode {
  readonly nonce: string;
  /** Hexadecimal. */
  readonly boundTo: string;
}

export function scriptedAttestor(
  settings: ScriptedSettings = {},
): (host: NodeAttestorHost) => ReadonlyMap<string, NodeAttestor> {
  return (host) => new Map([['scripted', new ScriptedAttestor(host, settings)]]);
}

class ScriptedAttestor implements NodeAttestor {
  readonly continuous: NonNullable<NodeAttestor['continuous']>;
  readonly #host: NodeAttestorHost;
  readonly #settings: ScriptedSettings;

  constructor(host: NodeAttestorHost, settings: ScriptedSettings) {
    this.#host = host;
    this.#settings = settings;
    this.continuous = {
      intervalSeconds: settings.intervalSeconds,
      deadlineSeconds: settings.deadlineSeconds ?? 3600,
      prove: async ({ record, challenge, certificateHash }) => {
        const nonce = randomBytes(8).toString('hex');
        const answer = JSON.parse((await challenge(Buffer.from(nonce))).toString()) as ScriptedAnswer;
        if (answer.nonce !== nonce || answer.boundTo !== certificateHash.toString('hex')) {
          throw new BonafideError('permission_denied', 'the answer is not to this challenge');
        }
        const held = record === undefined ? undefined : (JSON.parse(record) as Held);
        return {
          record: JSON.stringify({ meant: held?.meant ?? answer.state, shown: answer.state }),
          selectors: selectorsOf(answer),
          findings: findingsOf(held?.meant, answer.state),
        };
      },
      accept: (record) => {
        const { shown } = JSON.parse(record) as Held;
        return JSON.stringify({ meant: shown, shown });
      },
      facts: (record) => [{ name: 'state', value: (JSON.parse(record) as Held).shown }],
    };
  }

  async attest({
    payload,
    recall,
  }: Parameters<NodeAttestor['attest']>[0]): ReturnType<NodeAttestor['attest']> {
    const node = JSON.parse(payload.toString()) as ScriptedNode;
    const { canReattest = true, isTrustedOnFirstUse = false, golden } = this.#settings;
    const id = agentId(this.#host.trustDomain, 'scripted', node.name);
    const record = await recall(id);
    const meant = record === undefined ? golden : (JSON.parse(record) as Held).meant;
    return {
      agentId: id,
      selectors: selectorsOf(node),
      canReattest,
      isTrustedOnFirstUse,
      record: JSON.stringify({ meant: meant ?? node.state, shown: node.state }),
      findings: findingsOf(meant, node.state),
    };
  }
}

function selectorsOf({ selectors = [] }: ScriptedNode): readonly Selector[] {
  return selectors.map((value) => createSelector('scripted', value));
}

function findingsOf(meant: string | undefined, state: string): readonly NodeFinding[] {
  if (meant === undefined || meant === state) return [];
  const text = `PCR 7 changed from ${meant} to ${state}`;
  return [{ kind: 'pcr', text, bank: 'sha256', pcr: 7, before: meant, after: state, event: '3: a test' }];
}
