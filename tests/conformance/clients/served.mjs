// What the model behind the house knows by heart; see served.py.
import { z } from 'zod';

const { env } = process;

export const served = {
  model: env.CLIENT_MODEL,
  embeddings: env.CLIENT_EMBEDDINGS,
  weatherQuestion: env.CLIENT_WEATHER_QUESTION,
  weatherArguments: { [env.CLIENT_WEATHER_ARGUMENT]: 'Paris' },
  personQuestion: env.CLIENT_PERSON_QUESTION,
  person: { name: env.CLIENT_PERSON_NAME, age: Number(env.CLIENT_PERSON_AGE) },
};

export const Person = z.object({ name: z.string(), age: z.int() });

export const weatherParameters = {
  type: 'object',
  properties: { [env.CLIENT_WEATHER_ARGUMENT]: { type: 'string' } },
  required: [env.CLIENT_WEATHER_ARGUMENT],
  additionalProperties: false,
};
