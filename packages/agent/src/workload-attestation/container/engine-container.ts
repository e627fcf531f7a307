/** A container as Docker's Engine API and Podman's own describe it, read strictly; what makes no selector is not looked at. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';

export interface EngineContainer {
  /** The container's first process, as the engine's own pid namespace numbers it; undefined when it does not run. */
  readonly pid: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** `NAME=value`, as the container was started with. */
  readonly env: readonly string[];
  /** As the container was asked for, for example `nginx:1.29`; undefined when it was made of a bare folder. */
  readonly image: string | undefined;
  /** With its algorithm, for example `sha256:9f86…`. */
  readonly imageId: string | undefined;
  /** Podman: the ID of the pod that it is in. */
  readonly podId: string | undefined;
}

const DIGEST = /^(?:(?:[a-z0-9]{1,16}:)?[0-9a-f]{64,128})?$/;

const containerSchema = z.object({
  Id: z.string(),
  State: z.object({ Running: z.boolean(), Pid: z.int().min(0) }),
  Image: z.string().regex(DIGEST),
  ImageName: z.string().nullish(),
  Pod: z.string().nullish(),
  Config: z.object({
    Image: z.string().nullish(),
    Labels: z.record(z.string(), z.string()).nullish(),
    Env: z.array(z.string()).nullish(),
  }),
});

/** @throws BonafideError `failed_precondition` when it is another container, or none that can be read. */
export function parseEngineContainer(value: unknown, containerId: string): EngineContainer {
  const { success, data, error } = containerSchema.safeParse(value);
  if (!success) {
    const where = error.issues[0]?.path.join('.') ?? '';
    throw new BonafideError(
      'failed_precondition',
      `the engine's description of a container is not readable: ${where}`,
    );
  }
  if (data.Id !== containerId) {
    throw new BonafideError(
      'failed_precondition',
      'the engine described another container than was asked for',
    );
  }
  const { Config, Image, ImageName, Pod, State } = data;
  return {
    pid: State.Running && State.Pid > 0 ? State.Pid : undefined,
    labels: Config.Labels ?? {},
    env: Config.Env ?? [],
    image: textOf(ImageName) ?? textOf(Config.Image),
    imageId: textOf(Image) === undefined || Image.includes(':') ? textOf(Image) : `sha256:${Image}`,
    podId: textOf(Pod),
  };
}

/** Both engines write an empty string for what is not there. */
function textOf(text: string | null | undefined): string | undefined {
  return text === undefined || text === null || text === '' ? undefined : text;
}
