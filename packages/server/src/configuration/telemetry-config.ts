/** The `telemetry` section: where Prometheus finds the metrics, as SPIRE's configuration has it. */
import { z } from 'zod';

export const telemetrySchema = z.strictObject({
  /** None: metrics are kept and not served. */
  Prometheus: z
    .strictObject({
      host: z.string().min(1).default('localhost'),
      /** 0: any free port, which is logged. */
      port: z.int().min(0).max(65535).default(9988),
    })
    .optional(),
});
