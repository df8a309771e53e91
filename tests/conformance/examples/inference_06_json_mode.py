response = client.chat.completions.create(
    model="meta-llama/Llama-3.1-8B-Instruct",
    messages=[
        {"role": "system", "content": "You are a helpful assistant that outputs JSON."},
        {"role": "user", "content": "Extract the person's name and age from: John Smith is 35 years old."}
    ],
    response_format={"type": "json_object"}
)
# Output: {"name": "John Smith", "age": 35}
