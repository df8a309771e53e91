import numpy as np
from openai import OpenAI
client = OpenAI(
    base_url="https://dash.packet.ai/api/v1",
    api_key="pk_live_YOUR_API_KEY"
)
# Your document corpus
documents = [
    "Python is a programming language known for simplicity",
    "JavaScript is used for web development",
    "Machine learning uses algorithms to learn from data",
    "React is a JavaScript library for building UIs",
    "TensorFlow is a machine learning framework"
]
# Create embeddings for all documents
doc_response = client.embeddings.create(
    model="text-embedding-ada-002",
    input=documents
)
doc_embeddings = [d.embedding for d in doc_response.data]
# Create embedding for search query
query = "How do I build AI models?"
query_response = client.embeddings.create(
    model="text-embedding-ada-002",
    input=query
)
query_embedding = query_response.data[0].embedding
# Calculate cosine similarity
def cosine_similarity(a, b):
    return np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
# Find most similar documents
similarities = [cosine_similarity(query_embedding, doc_emb) for doc_emb in doc_embeddings]
ranked = sorted(enumerate(similarities), key=lambda x: x[1], reverse=True)
print("Most relevant documents:")
for idx, score in ranked[:3]:
    print(f" {score:.3f}: {documents[idx]}")
