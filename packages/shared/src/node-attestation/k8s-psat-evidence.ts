/** What an agent shows by `k8s_psat`, as SPIRE's does: the token that Kubernetes projected into its pod, and which cluster that is. */
import { z } from 'zod';
import { parseWith } from './parse-message.js';

const evidenceSchema = z.object({
  cluster: z.string().min(1).max(256),
  token: z
    .string()
    .min(1)
    .max(64 * 1024),
});

export type K8sPsatEvidence = Readonly<z.infer<typeof evidenceSchema>>;

/** @throws BonafideError `invalid_argument`. */
export function parseK8sPsatEvidence(bytes: Buffer): K8sPsatEvidence {
  return parseWith(evidenceSchema, bytes, 'evidence of k8s_psat');
}
