/** A round of challenges has an end, however an attestor and an agent go on. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

type Challenge = (data: Buffer) => Promise<Buffer>;

/** More than any attestor needs; an agent cannot keep a round going for ever. */
const MOST_CHALLENGES = 16;

export function limitChallenges(challenge: Challenge): Challenge {
  let left = MOST_CHALLENGES;
  return (data) => {
    left -= 1;
    if (left < 0)
      throw new BonafideError('internal', `the node attestor asked more than ${MOST_CHALLENGES} times`);
    return challenge(data);
  };
}
