/** Attestation by a projected service account token: what Kubernetes put into this pod is the evidence, read anew each time because it is replaced. */
import { readFile } from 'node:fs/promises';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { parseK8sPsatEvidence } from '@bonafide/shared/node-attestation/k8s-psat-evidence';
import { z } from 'zod';
import type { NodeAttestorPlugin } from './node-attestor.js';

const configSchema = z.strictObject({
  /** As the server's configuration names it. */
  cluster: z.string().min(1),
  token_path: z.string().min(1).default('/var/run/secrets/tokens/spire-agent'),
});

export const k8sPsat: NodeAttestorPlugin<z.infer<typeof configSchema>> = {
  configSchema,
  create: ({ cluster, token_path: path }) => ({
    type: 'k8s_psat',
    isSpent: false,
    async attest(exchange) {
      const evidence = Buffer.from(JSON.stringify({ cluster, token: await readToken(path) }));
      // Before it leaves: what no server would read.
      parseK8sPsatEvidence(evidence);
      if ((await exchange.send(evidence)) !== undefined) {
        throw new BonafideError('internal', 'the server answered a service account token with a challenge');
      }
    },
  }),
};

async function readToken(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    const message = `cannot read the token at token_path ${path}: ${errorMessage(cause)}`;
    throw new BonafideError('failed_precondition', message, { cause });
  });
  const token = text.trim();
  if (token !== '') return token;
  throw new BonafideError('failed_precondition', `the token at token_path ${path} is empty`);
}
