const response = await client.chat.completions.create({
  model: 'meta-llama/Llama-3.1-8B-Instruct',
  messages: [
    { role: 'system', content: 'Extract event information.' },
    { role: 'user', content: 'Meeting with John tomorrow at 3pm in Conference Room A' }
  ],
  response_format: {
    type: 'json_schema',
    json_schema: {
      name: 'calendar_event',
      strict: true,
      schema: {
        type: 'object',
        properties: {
          title: { type: 'string' },
          attendees: { type: 'array', items: { type: 'string' } },
          date: { type: 'string' },
          time: { type: 'string' },
          location: { type: 'string' }
        },
        required: ['title', 'attendees', 'date', 'time', 'location']
      }
    }
  }
});
