// Schedules in the five fields of cron, in UTC: minute, hour, day of month, month, day of week. Each is `*`, a number, a range, a list of these; `*` and
// ranges may have a step. A range may go over the end: 22-4 are the hours 22 to 4. Names such as MON, and seconds, are not known.
const dayMs = 86_400_000;
/** February 29 comes again within eight years, also over a century. */
const horizonDays = 8 * 366;

interface Field {
  /** Expression of one number. */
  readonly number: string;
  readonly min: number;
  /** How many values there are; the day of week has two names for Sunday, 0 and 7. */
  readonly size: number;
}
const fields: readonly Field[] = [
  { number: '[0-5]?[0-9]', min: 0, size: 60 },
  { number: '(?:[01]?[0-9]|2[0-3])', min: 0, size: 24 },
  { number: '(?:0?[1-9]|[12][0-9]|3[01])', min: 1, size: 31 },
  { number: '(?:0?[1-9]|1[0-2])', min: 1, size: 12 },
  { number: '[0-7]', min: 0, size: 7 },
];

const step = '(?:/[1-9][0-9]?)?';
const partForm = ({ number }: Field): string => `(?:[*]${step}|${number}(?:-${number}${step})?)`;
/** Every text of this form is a schedule. */
export const scheduleForm = new RegExp(`^${fields.map((field) => `${partForm(field)}(?:,${partForm(field)})*`).join(' ')}$`);

/** The values of each field, in order. */
export interface Schedule {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly isDue: (day: Date) => boolean;
}

/** Throws a RangeError for a text of another form. */
export function parseSchedule(text: string): Schedule {
  if (!scheduleForm.test(text)) throw new RangeError(`${text} is not a schedule of five fields, such as 0 2 * * *`);
  const texts = text.split(' ');
  const [minutes = [], hours = [], daysOfMonth = [], months = [], daysOfWeek = []] = fields.map((field, at) =>
    valuesOf(texts[at] ?? '', field),
  );
  const isAnyOfMonth = texts[2]?.startsWith('*') === true;
  const isAnyOfWeek = texts[4]?.startsWith('*') === true;
  const isDue = (day: Date): boolean => {
    const [ofMonth, ofWeek] = [daysOfMonth.includes(day.getUTCDate()), daysOfWeek.includes(day.getUTCDay())];
    // As cron has it: where both are restricted, either will do.
    const isDay = isAnyOfMonth || isAnyOfWeek ? ofMonth && ofWeek : ofMonth || ofWeek;
    return isDay && months.includes(day.getUTCMonth() + 1);
  };
  return { minutes, hours, isDue };
}

function valuesOf(text: string, { min, size }: Field): number[] {
  const values = text.split(',').flatMap((part) => {
    const [range = '', every = '1'] = part.split('/');
    const [from = min, to = range === '*' ? min + size - 1 : from] = range === '*' ? [] : range.split('-').map(Number);
    const count = (to >= from ? to - from : to + size - from) + 1;
    return Array.from({ length: Math.ceil(count / Number(every)) }, (_, at) => min + ((from - min + at * Number(every)) % size));
  });
  return [...new Set(values)].sort((a, b) => a - b);
}

/** The first time of the schedule after `afterMs`, both in milliseconds since 1970; `null` when there is none, as for February 30. */
export function nextTimeMs({ minutes, hours, isDue }: Schedule, afterMs: number): number | null {
  const firstDay = Math.floor(afterMs / dayMs);
  for (let day = firstDay; day <= firstDay + horizonDays; day += 1) {
    if (!isDue(new Date(day * dayMs))) continue;
    for (const hour of hours)
      for (const minute of minutes) {
        const atMs = day * dayMs + (hour * 60 + minute) * 60_000;
        if (atMs > afterMs) return atMs;
      }
  }
  return null;
}
