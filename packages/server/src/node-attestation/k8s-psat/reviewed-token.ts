/** What Kubernetes says of a token, judged: authentic, for us, of a service account, and bound to one pod. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TokenReviewStatus } from '@bonafide/shared/kubernetes/kubernetes-api';

export interface ReviewedToken {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly podName: string;
  readonly podUid: string;
  /** Kubernetes 1.30 and later say on which node the token was made; undefined: it did not. */
  readonly nodeUid: string | undefined;
}

/** @throws BonafideError `permission_denied` unless the token proves a pod. */
export function judgeReview(status: TokenReviewStatus, audiences: readonly string[]): ReviewedToken {
  if (status.error !== '') throw refusal('the token review found a fault in the token', status.error);
  if (!status.authenticated) throw refusal('the token is not authenticated according to the token review');
  // A reviewer that knows nothing of audiences vouches for tokens that were made for somebody else.
  if (audiences.length > 0 && !audiences.some((audience) => status.audiences?.includes(audience) === true)) {
    throw refusal(`the token review did not validate the audience; expected one of ${audiences.join(', ')}`);
  }
  const { username, extra } = status.user;
  const [, namespace = '', serviceAccount = ''] =
    /^system:serviceaccount:([a-z0-9.-]+):([a-z0-9.-]+)$/.exec(username) ?? [];
  if (serviceAccount === '') throw refusal('the token is not that of a service account', username);
  const only = (name: string): string | undefined => {
    const values = extra?.[`authentication.kubernetes.io/${name}`];
    if (values === undefined) return undefined;
    const [value] = values;
    if (values.length === 1 && value !== undefined && value !== '') return value;
    throw refusal(`the token review has no single ${name}`);
  };
  const [podName, podUid] = [only('pod-name'), only('pod-uid')];
  if (podName === undefined || podUid === undefined) {
    throw refusal('the token is not bound to a pod; use a projected service account token');
  }
  return { namespace, serviceAccount, podName, podUid, nodeUid: only('node-uid') };
}

function refusal(message: string, cause?: unknown): BonafideError {
  return new BonafideError('permission_denied', message, { cause });
}
