from openai import OpenAI, APIError, RateLimitError, AuthenticationError
client = OpenAI(
    base_url="https://dash.packet.ai/api/v1",
    api_key="pk_live_YOUR_API_KEY"
)
try:
    response = client.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": "Hello!"}]
    )
    print(response.choices[0].message.content)
except AuthenticationError as e:
    print(f"Authentication failed: {e}")
    # Check your API key
except RateLimitError as e:
    print(f"Rate limited: {e}")
    # Wait and retry with exponential backoff
except APIError as e:
    print(f"API error: {e.status_code} - {e.message}")
    # Handle based on error code
