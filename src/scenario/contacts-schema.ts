/** When a link is up: a list, a period, an imported plan, or computed from two-line elements. */
import { z } from 'zod';
import { degrees, duration, scenarioTime } from './quantities.ts';

const contact = z.strictObject({
  aos: scenarioTime().meta({ description: 'Acquisition of signal: the first bit passes.' }),
  los: scenarioTime().meta({ description: 'Loss of signal: no bit sent from now on passes.' }),
});

export const contactList = z
  .array(contact)
  .min(
    1,
    'an empty list of contacts means that the link is never up; leave `contacts` out for a link that is always up',
  )
  .superRefine((list, context) => {
    let last: { end: number; kind: string } | undefined;
    for (const [i, { aos, los }] of list.entries()) {
      const kind = Object.keys(aos)[0]!;
      if (kind !== Object.keys(los)[0]) {
        context.addIssue({
          code: 'custom',
          path: [i, 'los'],
          message: '`aos` and `los` must be of one kind, since the start or UTC',
        });
        continue;
      }
      const begin = timeValue(aos);
      const end = timeValue(los);
      if (end <= begin) context.addIssue({ code: 'custom', path: [i, 'los'], message: '`los` must be after `aos`' });
      if (last !== undefined && last.kind === kind && begin < last.end)
        context.addIssue({
          code: 'custom',
          path: [i, 'aos'],
          message: `this contact begins before the one above it ends: contacts must not overlap and stand in order`,
        });
      last = { end: Math.max(end, last?.end ?? end), kind };
    }
  });

const timeValue = (t: { sinceStart: number } | { utcMilliseconds: number }) =>
  'sinceStart' in t ? t.sinceStart : t.utcMilliseconds;

export const periodicContacts = z
  .strictObject({
    period: duration().meta({ description: 'From one acquisition of signal to the next.' }),
    duration: duration().meta({ description: 'How long each contact lasts; shorter than the period.' }),
    first: duration()
      .optional()
      .meta({ description: "The first acquisition, since the scenario's start. Default 0s." }),
  })
  .superRefine((value, context) => {
    if (value.duration >= value.period || value.duration <= 0)
      context.addIssue({
        code: 'custom',
        path: ['duration'],
        message: '`duration` must be over 0 and shorter than `period`',
      });
  });

export const importedContacts = z.strictObject({
  plan: z.string().min(1).meta({
    description: 'A file: an HDTN JSON contact plan, or ION `a contact` and `a range` lines; relative to the scenario.',
  }),
  from: z
    .union([z.number(), z.string()])
    .optional()
    .meta({ description: "The plan's identifier of the first node of `between`. Default: its name." }),
  to: z
    .union([z.number(), z.string()])
    .optional()
    .meta({ description: "The plan's identifier of the second node of `between`. Default: its name." }),
});

const tleLines = z
  .array(z.string())
  .superRefine((lines, context) => {
    const [one, two] = lines.length === 3 ? lines.slice(1) : lines;
    if ((lines.length !== 2 && lines.length !== 3) || one === undefined || two === undefined) {
      context.addIssue({ code: 'custom', message: '`tle` is a list of the two lines, or of a name and the two lines' });
      return;
    }
    const offset = lines.length - 2;
    for (const [i, line] of [one, two].entries()) {
      const problem = tleProblem(line, i + 1);
      if (problem !== undefined) context.addIssue({ code: 'custom', path: [i + offset], message: problem });
    }
  })
  .meta({ description: 'Two-line elements, with or without the name line.' });

/** Columns and checksum as in the NORAD format: 69 columns, the last one the sum of digits (minus counts 1) modulo 10. */
function tleProblem(line: string, number: number): string | undefined {
  const text = line.trimEnd();
  if (text.length !== 69) return `line ${number} of the elements has ${text.length} columns, not 69`;
  if (!text.startsWith(`${number} `)) return `line ${number} of the elements must begin with '${number} '`;
  let sum = 0;
  for (const c of text.slice(0, 68)) sum += c === '-' ? 1 : c >= '0' && c <= '9' ? Number(c) : 0;
  return sum % 10 === Number(text[68])
    ? undefined
    : `line ${number} of the elements has checksum ${text[68]}, its columns give ${sum % 10}: a digit is wrong`;
}

export const computedContacts = z.strictObject({
  tle: tleLines,
  station: z
    .strictObject({
      latitude: degrees()
        .refine((v) => Math.abs(v) <= 90, 'a latitude lies between -90 and 90 degrees')
        .meta({ description: 'Geodetic, north positive.' }),
      longitude: degrees()
        .refine((v) => Math.abs(v) <= 360, 'a longitude lies between -180 and 360 degrees')
        .meta({ description: 'East positive.' }),
      altitude: z.number().optional().meta({ description: 'Metres above the ellipsoid. Default 0.' }),
    })
    .meta({ description: 'Where the ground station stands.' }),
  mask: degrees()
    .refine((v) => v >= 0 && v < 90, 'an elevation mask lies between 0 and 90 degrees')
    .optional()
    .meta({ description: 'The lowest usable elevation. Default 5deg.' }),
});

export const contacts = () =>
  z
    .union([contactList, periodicContacts, importedContacts, computedContacts], {
      error: 'expected contacts: a list of {aos, los}, {period, duration}, {plan} or {tle, station}',
    })
    .meta({ description: 'When bits pass. Without it the link is always up.' });
